{{/* What an instance and doctor have in common: who they are, what they read, what they may. */}}
{{- define "balanceq.podCommon" -}}
serviceAccountName: {{ include "balanceq.serviceAccountName" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
  {{- with .Values.podSecurityContext }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: config
    secret:
      secretName: {{ printf "%s-config" (include "balanceq.fullname" .) | quote }}
      defaultMode: 0440
  {{- if .Values.existingSecret }}
  - name: secrets
    secret:
      secretName: {{ .Values.existingSecret | quote }}
      defaultMode: 0440
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "balanceq.containerCommon" -}}
image: {{ include "balanceq.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
resources:
  {{- include "balanceq.resources" . | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /etc/balanceq
    readOnly: true
  {{- if .Values.existingSecret }}
  - name: secrets # the folder and not its files (subPath), so that they follow the Secret
    mountPath: /run/secrets/balanceq
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  - name: BALANCEQ_CONFIG # so that kubectl exec … /balanceq doctor, status and resume know it
    value: /etc/balanceq/balanceq.yaml
  - name: BALANCEQ_INSTANCE
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  # The collector keeps to 95 % of the memory limit: each of its MiB counts as a million bytes.
  - name: MEMORY_LIMIT_MIB
    valueFrom:
      resourceFieldRef:
        containerName: {{ .container | quote }}
        resource: limits.memory
        divisor: 1Mi
  - name: GOMEMLIMIT
    value: "$(MEMORY_LIMIT_MIB)000000"
  {{- if and .Values.staticMembership (eq .container "balanceq") }}
  - name: BALANCEQ_KAFKA_INSTANCE_ID
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  {{- end }}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
