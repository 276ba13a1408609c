{{/* files/rules.yaml with what `rules.overrides` changes; a name that no rule has is refused. */}}
{{- define "vpc-cni-exporter.rules" -}}
{{- $unknown := deepCopy .Values.rules.overrides }}
{{- $groups := list }}
{{- range $group := (.Files.Get "files/rules.yaml" | fromYaml).groups }}
{{- $rules := list }}
{{- range $rule := $group.rules }}
{{- $name := $rule.alert | default $rule.record }}
{{- $override := get $.Values.rules.overrides $name | default dict }}
{{- $unknown = omit $unknown $name }}
{{- if dig "enabled" true $override }}
{{- $rules = append $rules (include "vpc-cni-exporter.rule" (dict "rule" $rule "override" $override "url" $.Values.rules.runbookUrl) | fromYaml) }}
{{- end }}
{{- end }}
{{- if $rules }}
{{- $groups = append $groups (merge (dict "rules" $rules) (omit $group "rules")) }}
{{- end }}
{{- end }}
{{- if $unknown }}
{{- fail (printf "rules.overrides: there is no rule named %s" (keys $unknown | sortAlpha | join ", ")) }}
{{- end }}
{{- toYaml (dict "groups" $groups) }}
{{- end }}

{{/* One rule: labels and annotations are merged, what else an override has replaces what there is. */}}
{{- define "vpc-cni-exporter.rule" -}}
{{- $rule := deepCopy .rule }}
{{- if and $rule.record (or (hasKey .override "for") .override.annotations) }}
{{- fail (printf "rules.overrides: %s is recorded, and only alerts have `for` and annotations" $rule.record) }}
{{- end }}
{{- with .url }}
{{- if $rule.alert }}
{{- $_ := set $rule.annotations "runbook_url" (regexReplaceAllLiteral "^[^#]*" $rule.annotations.runbook_url .) }}
{{- end }}
{{- end }}
{{- if hasKey .override "expr" }}
{{- $_ := set $rule "expr" (toString .override.expr) }}
{{- end }}
{{- if hasKey .override "for" }}
{{- $_ := set $rule "for" .override.for }}
{{- end }}
{{- range $kind := list "labels" "annotations" }}
{{- with get $.override $kind }}
{{- $_ := set $rule $kind (mergeOverwrite (get $rule $kind | default dict) .) }}
{{- end }}
{{- end }}
{{- toYaml $rule }}
{{- end }}
