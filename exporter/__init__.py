"""vpc-cni-exporter: who holds the pod IP addresses of an EKS cluster, and when they run out."""

__version__ = "0.1.0"
