{{/* The port of a URL, as the program goes there. */}}
{{- define "balanceq.port" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "80" "443" (eq $url.scheme "http")) $port -}}
{{- end }}

{{- define "balanceq.kafkaPorts" -}}
{{- $ports := list -}}
{{- $brokers := .Values.config.kafka.brokers -}}
{{- range ternary (splitList "," (toString $brokers)) $brokers (kindIs "string" $brokers) -}}
{{- $ports = append $ports (regexFind "[0-9]+$" (trim .) | int) -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end }}

{{/* The proxy's instead, where there is one. */}}
{{- define "balanceq.cmsPorts" -}}
{{- $proxy := dig "proxy" "environment" .Values.config.cms -}}
{{- $address := ternary .Values.config.cms.url $proxy (has $proxy (list "environment" "off")) -}}
{{- list (include "balanceq.port" $address | int) | toJson -}}
{{- end }}

{{- define "balanceq.otherPorts" -}}
{{- $ports := list -}}
{{- $config := .Values.config -}}
{{- range list (dig "sasl" "oauth" "token-url" "" $config.kafka) (dig "telemetry" "otlp" "endpoint" "" $config) -}}
{{- if . -}}
{{- $ports = append $ports (include "balanceq.port" . | int) -}}
{{- end -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end }}
