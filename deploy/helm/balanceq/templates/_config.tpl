{{/* The configuration file: config, and what the chart itself sets. */}}
{{- define "balanceq.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $http := default (dict) $config.http -}}
{{- if not $config.kafka.brokers -}}
{{- fail "config.kafka.brokers: name the brokers, for example [kafka-1.example.com:9093]" -}}
{{- end -}}
{{- if not $config.cms.url -}}
{{- fail "config.cms.url: set the CMS's base URL, for example https://sandbox.api.mastercard.com/global-processing/core" -}}
{{- end -}}
{{- if or $config.instance (get $config.kafka "instance-id") -}}
{{- fail "config.instance, config.kafka.instance-id: the chart sets them, each pod has its own; leave them out, and set staticMembership: true for the latter" -}}
{{- end -}}
{{- if $http.listen -}}
{{- fail "config.http.listen: the chart sets it; leave it out, and set httpPort" -}}
{{- end -}}
{{- $admin := default "off" $http.admin -}}
{{- $local := regexMatch "^(off|(localhost|127\\..*|\\[::1\\]):[0-9]+)$" $admin -}}
{{- if not (or $local (get $http "admin-token-file") (dig "admin-tls" "client-ca-file" "" $http)) -}}
{{- fail "config.http.admin: others could resume and read memory; set config.http.admin-token-file or config.http.admin-tls.client-ca-file, or leave it out: kubectl exec and port-forward reach it on the loopback address" -}}
{{- end -}}
{{- $_ := set $config "http" (set $http "listen" (printf ":%v" .Values.httpPort)) -}}
{{- toYaml $config -}}
{{- end }}

{{/* A duration as in the configuration (1m30s, 1.5s, 500ms) in whole seconds, rounded up. */}}
{{- define "balanceq.seconds" -}}
{{- $units := dict "h" 3600000.0 "m" 60000.0 "s" 1000.0 "ms" 1.0 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|[hms])" . -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $total = addf $total (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- divf $total 1000.0 | ceil | int -}}
{{- end }}

{{/* Time to drain, and 10 s to commit, to leave the group and to end. */}}
{{- define "balanceq.gracePeriod" -}}
{{- $shutdown := default (dict) .Values.config.shutdown -}}
{{- add (include "balanceq.seconds" (default "20s" $shutdown.timeout) | int) 10 -}}
{{- end }}

{{/* A size as in the configuration (32MiB, 1024) in MiB, rounded up. */}}
{{- define "balanceq.mebibytes" -}}
{{- $units := dict "GiB" 1024.0 "MiB" 1.0 "KiB" (divf 1.0 1024.0) "B" (divf 1.0 1048576.0) -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[A-Za-z]+$" $text -}}
{{- mulf (trimSuffix $unit $text | float64) (get $units (default "B" $unit)) | ceil | int -}}
{{- end }}

{{/* What the configuration allows to be held, in 64 MiB: docs/kubernetes.md#memory. */}}
{{- define "balanceq.memoryLimit" -}}
{{- $c := .Values.config -}}
{{- $producer := default (dict) $c.producer -}}
{{- $consumer := default (dict) $c.consumer -}}
{{- $buffer := include "balanceq.mebibytes" (dig "buffer-bytes" "32MiB" $producer) | int -}}
{{- $calls := dig "max-in-flight" 256 $c.cms | int -}}
{{- $ahead := dig "run-ahead" 1024 $consumer | int -}}
{{- $copies := ternary 2 1 (eq (toString $c.delivery) "exactly-once") -}}
{{- $need := add 160 (mul $copies $buffer) (div (mul $calls 64) 1024) (div (mul $ahead 8) 1024) -}}
{{- printf "%dMi" (mul 64 (div (add $need 63) 64)) -}}
{{- end }}

{{- define "balanceq.resources" -}}
{{- $measured := ternary "160Mi" "96Mi" (eq (toString .Values.config.delivery) "exactly-once") -}}
{{- $requests := merge (deepCopy .Values.resources.requests) (dict "memory" $measured) -}}
{{- $limits := merge (deepCopy .Values.resources.limits) (dict "memory" (include "balanceq.memoryLimit" .)) -}}
{{- toYaml (dict "requests" $requests "limits" $limits) -}}
{{- end }}
