package helm

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// envHelm asks for the tests that need helm, and python3 with kubernetes_validate: make chart gets both.
const envHelm = "BALANCEQ_REQUIRE_HELM"

// helm runs it, and returns what it prints and says.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if os.Getenv(envHelm) == "" {
		t.Skip("make chart runs it: needs helm")
	}
	text, err := exec.CommandContext(t.Context(), "helm", args...).CombinedOutput()
	return string(text), err
}

func rendered(t *testing.T, args ...string) string {
	t.Helper()
	text, err := helm(t, append([]string{"template"}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return text
}

// Helm's own rules, Kubernetes's schemas, and the program's: whatever the chart makes of each file of values.
func TestChartPasses(t *testing.T) {
	var files []string
	for _, path := range valueFiles(t) {
		if text, err := helm(t, "lint", "--strict", chart, "--values", path); err != nil {
			t.Errorf("%s: %v\n%s", path, err, text)
		}
		text := rendered(t, "payments", chart, "--values", path)
		configurations(t, path, text)
		file := filepath.Join(t.TempDir(), filepath.Base(path))
		write(t, file, text)
		files = append(files, file)
	}
	for _, version := range []string{"1.31", "1.37"} {
		if text, err := validate(t, version, files...); err != nil {
			t.Errorf("against Kubernetes %s: %v\n%s", version, err, text)
		}
	}
	misspelt := filepath.Join(t.TempDir(), "misspelt.yaml")
	write(t, misspelt, strings.Replace(read(t, files[0]), "readOnlyRootFilesystem", "readonlyRootFilesystem", 1))
	if text, err := validate(t, "1.37", misspelt); err == nil || !strings.Contains(text, "readonlyRootFilesystem") {
		t.Errorf("what is misspelt passes: %v\n%s", err, text)
	}
}

// validate holds files against the schemas of a release of Kubernetes; custom resources have none there.
func validate(t *testing.T, version string, files ...string) (string, error) {
	t.Helper()
	args := []string{"-m", "kubernetes_validate", "--strict", "--quiet", "--kubernetes-version", version}
	args = append(args, files...)
	text, err := exec.CommandContext(t.Context(), "python3", args...).CombinedOutput()
	return string(text), err
}

// y is a boolean in YAML, and 007 a number; so are labels that look like it.
func TestAnyNameOfARelease(t *testing.T) {
	for _, name := range []string{"y", "on", "0123", "1e3", "null"} {
		all := objects(t, rendered(t, name, chart, "--values", chart+"/ci/monitored-values.yaml",
			"--set-string", "image.tag=1.0"))
		if len(all) < 10 {
			t.Errorf("%s: %d objects", name, len(all))
		}
		for _, one := range all {
			if one.Metadata.Labels["app.kubernetes.io/instance"] != name ||
				!strings.HasPrefix(one.Metadata.Name, name+"-balanceq") {
				t.Errorf("%s: %s %s has labels %v", name, one.Kind, one.Metadata.Name, one.Metadata.Labels)
			}
		}
	}
	named := regexp.MustCompile(`^ *(?:app\.kubernetes\.io/\w+|helm\.sh/chart|name): ([^"\s]*y\S*)`)
	for line := range strings.Lines(rendered(t, "y", chart, "--values", chart+"/ci/smallest-values.yaml")) {
		if named.MatchString(line) {
			t.Errorf("not quoted: %s", line)
		}
	}
}

// What cannot be meant is refused before anything is installed, by a message that names the value.
func TestChartRefuses(t *testing.T) {
	const smallest, monitored = "smallest", "monitored"
	for name, tt := range map[string]struct{ values, set, want string }{
		"a key that is none": {smallest, "config.kafka.borkers=x",
			"'/config/kafka': additional properties 'borkers' not allowed"},
		"a value that is none": {smallest, "replicaCount=3",
			"additional properties 'replicaCount' not allowed"},
		"a secret": {smallest, "config.kafka.sasl.password=x",
			"'/config/kafka/sasl': additional properties 'password' not allowed"},
		"a wrong type": {smallest, "config.cms.rate=fast",
			"'/config/cms/rate': got string, want number"},
		"a time without a unit": {smallest, "config.shutdown.timeout=20",
			"'/config/shutdown/timeout': got number, want string"},
		"a word": {smallest, "config.delivery=twice",
			"'/config/delivery': value must be one of 'at-least-once', 'exactly-once'"},
		"out of range": {smallest, "config.deadletters.budget=2",
			"'/config/deadletters/budget': maximum: got 2, want 1"},
		"no instance": {monitored, "autoscaling.minReplicas=0",
			"'/autoscaling/minReplicas': minimum: got 0, want 1"},
		"a privileged port": {smallest, "httpPort=80",
			"'/httpPort': minimum: got 80, want 1,024"},
		"a tag in the repository": {smallest, "image.repository=a/b:v1",
			"'/image/repository': 'a/b:v1' does not match pattern"},
		"a variable of the chart": {smallest, "env[0].name=BALANCEQ_DELIVERY",
			"'/env/0/name': 'not' failed"},
		"no image": {smallest, "image.repository=",
			"image.repository: name the image in your registry"},
		"no brokers": {smallest, "config.kafka.brokers=null",
			"config.kafka.brokers: name the brokers"},
		"no CMS": {smallest, "config.cms.url=",
			"config.cms.url: set the CMS's base URL"},
		"names that do not last": {"exactly-once", "workload.kind=Deployment",
			"workload.kind: staticMembership and config.delivery exactly-once need"},
		"one name for all": {smallest, "config.kafka.instance-id=a",
			"config.kafka.instance-id: the chart sets them"},
		"another port": {smallest, "config.http.listen=:80",
			"config.http.listen: the chart sets it"},
		"an open admin port": {smallest, "config.http.admin=:8081",
			"config.http.admin: others could resume and read memory"},
		"no reader of the metrics": {monitored, "networkPolicy.metricsFrom=null",
			"networkPolicy.metricsFrom: podMonitor is on"},
		"no address for the demand": {monitored, "autoscaling.prometheus.serverAddress=",
			"autoscaling.prometheus.serverAddress: set Prometheus's"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := helm(t, "template", "a", chart, "--values", chart+"/ci/"+tt.values+"-values.yaml", "--set", tt.set)
			if err == nil || !strings.Contains(text, tt.want) {
				t.Errorf("%v, want %q in\n%s", err, tt.want, text)
			}
		})
	}
}

// The plain manifests are the chart's.
func TestManifestsAreTheCharts(t *testing.T) {
	const head = "# Rendered from deploy/helm/balanceq with values.yaml beside this file: make manifests.\n"
	values := manifests + "/values.yaml"
	for file, shown := range map[string][]string{
		"balanceq.yaml":   {"serviceaccount", "config", "service", "workload", "poddisruptionbudget", "networkpolicy"},
		"monitoring.yaml": {"podmonitor", "prometheusrule", "dashboard"},
	} {
		args := []string{"balanceq", chart, "--namespace", "balanceq", "--values", values}
		for _, name := range shown {
			args = append(args, "--show-only", "templates/"+name+".yaml")
		}
		text := regexp.MustCompile(`(?m)^(# Source| +(helm\.sh/chart|app\.kubernetes\.io/managed-by)): .*\n`).
			ReplaceAllString(rendered(t, args...), "")
		text = regexp.MustCompile(`\n{2,}---`).ReplaceAllString(text, "\n---")
		same(t, manifests+"/"+file, head+text)
	}
	if text, err := validate(t, "1.37", manifests+"/balanceq.yaml"); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}
