{{/* What the members of the Ray cluster have in common: its head, its nodes, and the workers that lead it. */}}

{{/* Its name has the image and the version of Ray: another image is another cluster, because versions in one may not differ. KubeRay cuts
     the names that it makes from this one at 50 characters. */}}
{{- define "boxwright.rayName" -}}
{{- $image := include "boxwright.image" (dict "root" . "kinds" (list) "ray" true) }}
{{- printf "%s-ray-%s" (include "boxwright.name" . | trunc 26 | trimSuffix "-") (printf "%s %s" $image .Values.ray.version | sha256sum | trunc 8) }}
{{- end }}

{{- define "boxwright.rayHead" -}}
{{ include "boxwright.rayName" . }}-gcs
{{- end }}

{{/* The label of all members, by which the NetworkPolicy lets them reach each other, and nobody else. */}}
{{- define "boxwright.rayMember" -}}
app.kubernetes.io/part-of: {{ include "boxwright.name" . }}-ray
{{- end }}

{{/* Labels of the cluster's own pods. They have another name than the service's, whose health port they do not have. */}}
{{- define "boxwright.rayLabels" -}}
app.kubernetes.io/name: boxwright-ray
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "boxwright.rayMember" . }}
{{- end }}

{{- define "boxwright.rayEnv" -}}
- {name: RAY_AUTH_MODE, value: token}
- {name: RAY_AUTH_TOKEN, valueFrom: {secretKeyRef: {name: {{ .Values.ray.tokenSecret }}, key: auth_token}}}
- {name: RAY_USAGE_STATS_ENABLED, value: "0"}
# Ray ends tasks at this share of the memory; a host that is killed by the kernel is replaced as well.
- {name: RAY_memory_usage_threshold, value: "0.98"}
- {name: RAY_task_events_max_num_task_in_gcs, value: "10000"}
{{- end }}

{{/* What a worker is told of the cluster that it leads. Takes a dict of root and ray. */}}
{{- define "boxwright.rayLeaderEnv" -}}
- {name: BOXWRIGHT_RAY_ADDRESS, value: "{{ include "boxwright.rayHead" .root }}:6379"}
- {name: BOXWRIGHT_RAY_HOSTS, value: {{ int64 .ray.hosts | quote }}}
- {name: BOXWRIGHT_RAY_HOST_CORES, value: {{ int64 .ray.hostCores | quote }}}
- {name: BOXWRIGHT_RAY_HOST_GPUS, value: {{ .ray.hostGpus | quote }}}
{{- if .root.Values.storage.stateUri }}
- {name: BOXWRIGHT_RAY_CACHE_DIR, value: /var/cache/boxwright}
- {name: BOXWRIGHT_RAY_CACHE_BYTES, value: {{ int64 .root.Values.ray.cacheBytes | quote }}}
{{- end }}
{{ include "boxwright.rayEnv" .root }}
{{- end }}

{{/* The node without cores beside such a worker. Ray's driver finds it among the processes of the pod, and its sockets in /tmp. */}}
{{- define "boxwright.rayLeaderNode" -}}
- name: ray-node
  image: {{ include "boxwright.image" (dict "root" . "kinds" (list) "ray" true) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [ray, start]
  args:
    - --address={{ include "boxwright.rayHead" . }}:6379
    - --num-cpus=0
    - --num-gpus=0
    - --node-manager-port=6380
    - --object-store-memory=100000000
    - --disable-usage-stats
    - --block
  env: {{- include "boxwright.rayEnv" . | nindent 4 }}
  ports: [{name: raylet, containerPort: 6380}]
  {{- include "boxwright.rayProbes" 6380 | nindent 2 }}
  # The worker hands its work back first.
  lifecycle: {preStop: {exec: {command: [sleep, "10"]}}}
  securityContext: {{- include "boxwright.containerSecurity" . | nindent 4 }}
  resources: {requests: {cpu: 200m, memory: 1Gi}, limits: {memory: 1Gi}}
  volumeMounts: [{name: data, mountPath: /data}, {name: tmp, mountPath: /tmp}, {name: shm, mountPath: /dev/shm}]
{{- end }}

{{/* GCS and raylet answer the gRPC health check, without a token. KubeRay's own probes need wget and a dashboard. Takes the port. */}}
{{- define "boxwright.rayProbes" -}}
startupProbe: {grpc: {port: {{ . }}}, periodSeconds: 5, failureThreshold: 24, timeoutSeconds: 3}
livenessProbe: {grpc: {port: {{ . }}}, periodSeconds: 30, failureThreshold: 4, timeoutSeconds: 10}
readinessProbe: {grpc: {port: {{ . }}}, periodSeconds: 5, failureThreshold: 3, timeoutSeconds: 3}
{{- end }}

{{/* `ray stop` tells the head that the node leaves, where the shell that KubeRay starts a node with would ignore SIGTERM. */}}
{{- define "boxwright.rayStop" -}}
lifecycle: {preStop: {exec: {command: [ray, stop, --grace-period, "10"]}}}
{{- end }}

{{/* Values of the cluster that cannot be used together. */}}
{{- define "boxwright.rayCheck" -}}
{{- $ray := .Values.ray }}
{{- $leaders := list }}
{{- range .Values.workers }}{{ if .ray }}{{ $leaders = append $leaders . }}{{ end }}{{ end }}
{{- if and $leaders (not $ray.enabled) }}
{{- fail "workers[].ray needs ray.enabled." }}
{{- end }}
{{- if $ray.enabled }}
{{- if not $leaders }}
{{- fail "ray.enabled needs a worker that leads the cluster: give one of workers `ray`." }}
{{- end }}
{{- if not $ray.tokenSecret }}
{{- fail "ray.enabled needs ray.tokenSecret: without a token, everybody who reaches the cluster runs code on all of it." }}
{{- end }}
{{- $names := list }}
{{- range $ray.groups }}
{{- if has .name $names }}{{ fail (printf "ray.groups has the name %s twice." .name) }}{{ end }}
{{- $names = append $names .name }}
{{- if gt (int .min) (int .max) }}{{ fail (printf "ray.groups: min of %s is above its max." .name) }}{{ end }}
{{- end }}
{{- range $leader := $leaders }}
{{- if or (has "train" $leader.kinds) (not (has "batch" $leader.kinds)) }}
{{- fail (printf "workers: %s has `ray`, so its kinds have batch, and not train." $leader.name) }}
{{- end }}
{{- $hasRoom := false }}
{{- range $ray.groups }}
{{- if and (ge (int .cores) (int $leader.ray.hostCores)) (ge (float64 .gpu) (float64 $leader.ray.hostGpus)) }}{{ $hasRoom = true }}{{ end }}
{{- end }}
{{- if not $hasRoom }}
{{- fail (printf "workers: no group of ray.groups has nodes with room for a host of %s: %v cores and %v GPUs." $leader.name $leader.ray.hostCores $leader.ray.hostGpus) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
