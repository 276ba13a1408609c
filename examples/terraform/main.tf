# What the exporter needs in AWS: a role that may read EC2, and a way for its service account to
# take it on, by EKS Pod Identity or, where an OIDC provider is given, by IRSA.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

locals {
  irsa = var.oidc_provider_arn != ""
  # An OIDC provider's ARN ends with its issuer, without https://.
  issuer = element(split(":oidc-provider/", var.oidc_provider_arn), 1)
}

data "aws_iam_policy_document" "exporter" {
  statement {
    sid = "Subnets"
    actions = [
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets",
      "ec2:GetSubnetCidrReservations",
    ]
    resources = ["*"]
  }

  statement {
    sid     = "Eks"
    actions = ["eks:DescribeAddon", "eks:DescribeCluster"]
    resources = [
      "arn:*:eks:*:*:addon/${var.cluster_name}/*/*",
      "arn:*:eks:*:*:cluster/${var.cluster_name}",
    ]
  }

  # This one is of no resource.
  statement {
    sid       = "EksVersions"
    actions   = ["eks:DescribeAddonVersions"]
    resources = ["*"]
  }

  statement {
    sid       = "CloudWatch"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [var.cloudwatch_namespace]
    }
  }
}

resource "aws_iam_policy" "exporter" {
  name_prefix = "${var.name}-"
  description = "Lets vpc-cni-exporter read EKS clusters and their subnets"
  policy      = data.aws_iam_policy_document.exporter.json
  tags        = var.tags
}

data "aws_iam_policy_document" "trust_pod_identity" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "trust_irsa" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["system:serviceaccount:${var.namespace}:${var.service_account}"]
    }
  }
}

resource "aws_iam_role" "exporter" {
  name_prefix        = "${var.name}-"
  description        = "Taken on by vpc-cni-exporter in cluster ${var.cluster_name}"
  assume_role_policy = local.irsa ? data.aws_iam_policy_document.trust_irsa.json : data.aws_iam_policy_document.trust_pod_identity.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "exporter" {
  role       = aws_iam_role.exporter.name
  policy_arn = aws_iam_policy.exporter.arn
}

# The agent runs on every node and hands out the credentials; a cluster has it once.
resource "aws_eks_addon" "pod_identity_agent" {
  count = !local.irsa && var.install_pod_identity_agent ? 1 : 0

  cluster_name = var.cluster_name
  addon_name   = "eks-pod-identity-agent"
  tags         = var.tags
}

resource "aws_eks_pod_identity_association" "exporter" {
  count = local.irsa ? 0 : 1

  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.exporter.arn
  tags            = var.tags
}

# Reading the nodes, where their security group does not let the exporter in already.
resource "aws_vpc_security_group_ingress_rule" "ipamd_metrics" {
  for_each = toset(var.exporter_security_group_ids)

  description                  = "vpc-cni-exporter reads ipamd's metrics"
  security_group_id            = var.node_security_group_id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 61678
  to_port                      = 61678
  tags                         = var.tags
}
