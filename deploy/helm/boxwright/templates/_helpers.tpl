{{/* Names, labels, and what every pod has. */}}

{{- define "boxwright.name" -}}
{{- if contains "boxwright" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-boxwright" (.Release.Name | trunc 30 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "boxwright.selector" -}}
app.kubernetes.io/name: boxwright
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "boxwright.labels" -}}
{{ include "boxwright.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The image for these kinds of work. Takes a dict of root and kinds, and of `ray` for members of a cluster. */}}
{{- define "boxwright.image" -}}
{{- $image := .root.Values.image }}
{{- $isTraining := has "train" .kinds }}
{{- $repository := ternary $image.trainRepository $image.repository $isTraining }}
{{- $digest := ternary $image.trainDigest $image.digest $isTraining }}
{{- if .ray }}{{ $repository = $image.rayRepository }}{{ $digest = $image.rayDigest }}{{ end }}
{{- if $digest }}{{ $repository }}@{{ $digest }}{{ else }}{{ $repository }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "boxwright.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "boxwright.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* The restricted pod security standard, and the user of the image. */}}
{{- define "boxwright.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "boxwright.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A value as text. Helm reads whole numbers as floating ones, and would write 1e+06. */}}
{{- define "boxwright.text" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if and (kindIs "float64" .) (eq (float64 (int64 .)) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* How many operations of these kinds wait or are worked on, as KEDA asks the database. Takes the list of kinds. */}}
{{- define "boxwright.waitingQuery" -}}
{{- $operations := list }}
{{- if has "train" . }}{{ $operations = append $operations "'create_model'" }}{{ end }}
{{- if has "batch" . }}{{ $operations = append $operations "'batch_predict'" }}{{ end }}
{{- if has "import" . }}{{ $operations = concat $operations (list "'import_data'" "'import_model'") }}{{ end }}
{{- if has "export" . }}{{ $operations = concat $operations (list "'export_data'" "'export_model'" "'delete_dataset'") }}{{ end -}}
SELECT count(*) FROM operations WHERE state IN ('PENDING', 'RUNNING') AND kind IN ({{ join ", " $operations }})
{{- end }}

{{/* Variables of every container. Secrets come as files, or from the Secret of the store. */}}
{{- define "boxwright.env" -}}
- {name: BOXWRIGHT_DATA_DIR, value: /data/state}
- {name: BOXWRIGHT_BUCKETS_DIR, value: /data/buckets}
- {name: BOXWRIGHT_LOG_FORMAT, value: json}
- {name: BOXWRIGHT_SCHEMES, value: {{ join "," .Values.storage.schemes | quote }}}
- {name: BOXWRIGHT_GS, value: {{ .Values.storage.gs | quote }}}
{{- with .Values.storage.stateUri }}
- {name: BOXWRIGHT_STATE_URI, value: {{ . | quote }}}
{{- end }}
{{- with .Values.storage.uploadsUri }}
- {name: BOXWRIGHT_UPLOADS_URI, value: {{ . | quote }}}
{{- end }}
{{- if .Values.database.existingSecret }}
- {name: BOXWRIGHT_DATABASE_URL_FILE, value: /etc/boxwright/database/url}
{{- end }}
{{- if .Values.database.caSecret }}
- {name: BOXWRIGHT_DATABASE_CA, value: /etc/boxwright/database-ca/ca.crt}
{{- end }}
{{- if .Values.notify.existingSecret }}
- {name: BOXWRIGHT_NOTIFY_SECRET_FILE, value: /etc/boxwright/notify/secret}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ printf "BOXWRIGHT_%s" (upper $name) }}, value: {{ include "boxwright.text" $value | quote }}}
{{- end }}
{{- include "boxwright.storeEnv" . }}
{{- end }}

{{/* Of these, what whoever reaches the store needs. */}}
{{- define "boxwright.storeEnv" }}
{{- with .Values.storage.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- with .Values.storage.region }}
- {name: AWS_REGION, value: {{ . | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "boxwright.envFrom" -}}
{{- with .Values.storage.existingSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "boxwright.mounts" -}}
- {name: data, mountPath: /data}
- {name: tmp, mountPath: /tmp}
{{- if .Values.database.existingSecret }}
- {name: database, mountPath: /etc/boxwright/database, readOnly: true}
{{- end }}
{{- if .Values.database.caSecret }}
- {name: database-ca, mountPath: /etc/boxwright/database-ca, readOnly: true}
{{- end }}
{{- if .Values.notify.existingSecret }}
- {name: notify, mountPath: /etc/boxwright/notify, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Volumes of every pod but for /data. */}}
{{- define "boxwright.volumes" -}}
- {name: tmp, emptyDir: {}}
{{- with .Values.database.existingSecret }}
- {name: database, secret: {secretName: {{ . }}, items: [{key: url, path: url}], defaultMode: 0440}}
{{- end }}
{{- with .Values.database.caSecret }}
- {name: database-ca, secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}], defaultMode: 0444}}
{{- end }}
{{- with .Values.notify.existingSecret }}
- {name: notify, secret: {secretName: {{ . }}, items: [{key: secret, path: secret}], defaultMode: 0440}}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "boxwright.claim" -}}
{{ .Values.storage.persistence.existingClaim | default (include "boxwright.name" .) }}
{{- end }}

{{- define "boxwright.dataVolume" -}}
{{- if .Values.storage.persistence.enabled -}}
- {name: data, persistentVolumeClaim: {claimName: {{ include "boxwright.claim" . }}}}
{{- else -}}
- {name: data, emptyDir: {}}
{{- end }}
{{- end }}

{{/* Whether several pods can share the volume for /data. */}}
{{- define "boxwright.isShared" -}}
{{- if and .Values.storage.persistence.enabled (has "ReadWriteMany" .Values.storage.persistence.accessModes) }}yes{{ end }}
{{- end }}

{{- define "boxwright.probes" -}}
startupProbe: {httpGet: {path: /healthz, port: health}, periodSeconds: 5, failureThreshold: 12, timeoutSeconds: 3}
livenessProbe: {httpGet: {path: /healthz, port: health}, periodSeconds: 30, failureThreshold: 3, timeoutSeconds: 5}
readinessProbe: {httpGet: {path: /readyz, port: health}, periodSeconds: 5, failureThreshold: 2, timeoutSeconds: 3}
{{- end }}

{{- define "boxwright.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "boxwright.pod" -}}
serviceAccountName: {{ include "boxwright.serviceAccount" . }}
automountServiceAccountToken: {{ not (empty .Values.serviceAccount.annotations) }}
enableServiceLinks: false
securityContext: {{- include "boxwright.podSecurity" . | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- include "boxwright.pullSecrets" . }}
{{- end }}

{{- define "boxwright.pullSecrets" }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - {name: {{ . }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Values that can be read each by itself, but not together. */}}
{{- define "boxwright.check" -}}
{{- $isShared := include "boxwright.isShared" . }}
{{- if and .Values.workers (not .Values.database.existingSecret) }}
{{- fail "workers need database.existingSecret: SQLite is for one pod. Or set workers to [] and serve.worker to true." }}
{{- end }}
{{- if and (gt (int .Values.serve.replicas) 1) (not .Values.database.existingSecret) }}
{{- fail "serve.replicas above 1 needs database.existingSecret: SQLite is for one pod." }}
{{- end }}
{{- if and (or .Values.workers (gt (int .Values.serve.replicas) 1)) (not .Values.storage.stateUri) (not $isShared) }}
{{- fail "several pods need storage.stateUri, or a volume with the access mode ReadWriteMany." }}
{{- end }}
{{- if and (not .Values.database.existingSecret) (not .Values.storage.persistence.enabled) }}
{{- fail "storage.persistence.enabled is false and there is no database.existingSecret: everything would be lost with the pod." }}
{{- end }}
{{- if and (eq .Values.access "required") (not .Values.tls.existingSecret) (not .Values.trustedProxies) }}
{{- fail "access required needs tls.existingSecret, or trustedProxies with the networks of the proxies that do TLS." }}
{{- end }}
{{- if and (eq .Values.access "open") (or .Values.serve.ingress.enabled (gt (int .Values.serve.replicas) 1)) }}
{{- fail "access open is for one person and `kubectl port-forward`: no ingress, one replica." }}
{{- end }}
{{- if and .Values.settings.notify_hosts .Values.workers (not .Values.notify.existingSecret) (not $isShared) }}
{{- fail "settings.notify_hosts with several pods needs notify.existingSecret: all of them sign with one secret." }}
{{- end }}
{{- include "boxwright.rayCheck" . }}
{{- end }}
