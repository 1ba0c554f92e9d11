{{/* What the Job and the CronJob of the preflight run. Its report is what counts, so it ends well whatever it finds. */}}
{{- define "operator.preflight" -}}
backoffLimit: 1
activeDeadlineSeconds: 900
template:
  metadata:
    labels:
      app.kubernetes.io/name: allmende-preflight
      app.kubernetes.io/instance: {{ .Release.Name }}
      app.kubernetes.io/component: job
  spec:
    serviceAccountName: {{ include "operator.fullname" . }}-preflight
    automountServiceAccountToken: true
    enableServiceLinks: false
    restartPolicy: Never
    # Stopped, it still removes its pods.
    terminationGracePeriodSeconds: 60
    securityContext:
      runAsNonRoot: true
      runAsUser: 65532
      runAsGroup: 65532
      seccompProfile:
        type: RuntimeDefault
    {{- with .Values.preflight.imagePullSecrets }}
    imagePullSecrets:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.nodeSelector }}
    nodeSelector:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.tolerations }}
    tolerations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    containers:
      - name: preflight
        image: {{ required "image is needed" .Values.image | quote }}
        args: [preflight, --always-succeed]
        env:
          - { name: ALLMENDE_PREFLIGHT_IMAGE, value: {{ .Values.image | quote }} }
          {{- with .Values.preflight.imagePullSecrets }}
          - name: ALLMENDE_PREFLIGHT_IMAGE_PULL_SECRETS
            value: {{ range $i, $secret := . }}{{ if $i }},{{ end }}{{ $secret.name }}{{ end }}
          {{- end }}
          - { name: ALLMENDE_PREFLIGHT_NAMESPACE, value: {{ .Values.preflight.namespace | quote }} }
          - { name: ALLMENDE_PREFLIGHT_SAVE_IN, value: {{ .Release.Namespace | quote }} }
          {{- with .Values.preflight.registries }}
          - { name: ALLMENDE_PREFLIGHT_REGISTRIES, value: {{ join "," . | quote }} }
          {{- end }}
          {{- with .Values.plainHttpRegistries }}
          - { name: ALLMENDE_PREFLIGHT_PLAIN_HTTP_REGISTRIES, value: {{ join "," . | quote }} }
          {{- end }}
          {{- with .Values.preflight.oidc.issuer }}
          - { name: ALLMENDE_PREFLIGHT_OIDC_ISSUER, value: {{ . | quote }} }
          {{- end }}
          - { name: ALLMENDE_PREFLIGHT_OIDC_AUDIENCE, value: {{ .Values.preflight.oidc.audience | quote }} }
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
        resources:
          requests: { cpu: 50m, memory: 64Mi }
          limits: { memory: 256Mi }
{{- end -}}
