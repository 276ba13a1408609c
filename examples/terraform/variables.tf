variable "cluster_name" {
  description = "The EKS cluster"
  type        = string
}

variable "name" {
  description = "What the names of role and policy begin with"
  type        = string
  default     = "vpc-cni-exporter"
}

variable "namespace" {
  description = "The namespace that the chart is installed in"
  type        = string
  default     = "kube-system"
}

variable "service_account" {
  description = "The exporter's service account: the chart's serviceAccount.name, or the name of the release"
  type        = string
  default     = "vpc-cni-exporter"
}

variable "oidc_provider_arn" {
  description = "The cluster's OIDC provider, for IRSA; empty for EKS Pod Identity"
  type        = string
  default     = ""
}

variable "install_pod_identity_agent" {
  description = "Whether the add-on eks-pod-identity-agent is installed here"
  type        = bool
  default     = true
}

variable "node_security_group_id" {
  description = "The nodes' security group, where it must let the exporter in"
  type        = string
  default     = ""
}

variable "exporter_security_group_ids" {
  description = "Security groups that the exporter's traffic comes from: its nodes', its pod's own, or the control plane's with scrape_via apiserver"
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything"
  type        = map(string)
  default     = {}
}

variable "cloudwatch_namespace" {
  description = "The only namespace of CloudWatch that may be published to; the setting `cloudwatch_namespace` of the exporter."
  type        = string
  default     = "Kubernetes"
}
