output "role_arn" {
  description = "The role; with IRSA the chart's aws.roleArn"
  value       = aws_iam_role.exporter.arn
}
