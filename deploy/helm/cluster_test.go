package helm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const namespace = "payments"

// The chart and the manifests as an API server takes them that refuses what PodSecurity's "restricted" does not allow.
func TestCluster(t *testing.T) {
	c := startCluster(t)
	c.kubectl("create", "namespace", namespace)
	c.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted",
		"pod-security.kubernetes.io/warn=restricted")
	for _, step := range []struct {
		name string
		run  func(*cluster)
	}{
		{"refuses what is not restricted", (*cluster).refuses}, {"a release named y", (*cluster).release},
		{"upgrade", (*cluster).upgrade}, {"eviction", (*cluster).eviction},
		{"custom resources", (*cluster).customResources}, {"manifests", (*cluster).manifests},
		{"uninstall", (*cluster).uninstall},
	} {
		t.Run(step.name, func(t *testing.T) {
			c := *c
			c.t = t
			step.run(&c)
		})
	}
}

// Without this, the rest would say nothing.
func (c *cluster) refuses() {
	text, err := c.try("", "run", "bad", "-n", namespace, "--image=registry.example.com/balanceq")
	if err == nil || !strings.Contains(text, `violates PodSecurity "restricted:latest"`) {
		c.t.Errorf("%v\n%s", err, text)
	}
}

func values(name string) []string {
	return []string{"--values", chart + "/ci/" + name + "-values.yaml"}
}

func (c *cluster) install(verb, release, name string, args ...string) string {
	common := []string{verb, release, chart, "-n", namespace, "--wait", "--timeout", "60s"}
	return c.helm(slices.Concat(common, values(name), args)...)
}

func (c *cluster) release() {
	c.install("install", "y", "exactly-once")
	pods := c.pods(namespace, "y")
	if len(pods) != 3 {
		c.t.Fatalf("%d pods", len(pods))
	}
	where := map[string]bool{}
	for i, one := range pods {
		if want := fmt.Sprintf("y-balanceq-%d", i); one.Metadata.Name != want || !one.ready() {
			c.t.Errorf("%s, ready %v; want %s", one.Metadata.Name, one.ready(), want)
		}
		// shutdown.timeout is 1m30.5s.
		if got := one.Spec.TerminationGracePeriodSeconds; got != 101 {
			c.t.Errorf("%s has %d s to end", one.Metadata.Name, got)
		}
		where[one.Spec.NodeName] = true
	}
	if len(where) != 3 {
		c.t.Errorf("not spread: %v", where)
	}
	c.install("install", "plain", "smallest")
	if pods := c.pods(namespace, "plain"); len(pods) != 2 {
		c.t.Errorf("%d pods of a Deployment", len(pods))
	}
}

// A change of the configuration restarts one pod after the other; nothing else restarts any.
func (c *cluster) upgrade() {
	for release, one := range map[string]struct {
		values string
		pods   int
	}{"y": {"exactly-once", 3}, "plain": {"smallest", 2}} {
		before := c.pods(namespace, release)
		fewest := c.fewestReady(namespace, release, func() {
			c.install("upgrade", release, one.values, "--set", "config.log.level=debug")
		})
		after := c.pods(namespace, release)
		if fewest != one.pods-1 || len(after) != one.pods {
			c.t.Errorf("%s: %d of %d pods were ready at the least, %d are there",
				release, fewest, one.pods, len(after))
		}
		for i := range min(len(before), len(after)) {
			if before[i].Metadata.Annotations["checksum/config"] == after[i].Metadata.Annotations["checksum/config"] {
				c.t.Errorf("%s has not been restarted", after[i].Metadata.Name)
			}
		}
		c.install("upgrade", release, one.values, "--set", "config.log.level=debug",
			"--set", "podMonitor.enabled=false")
		if again := c.pods(namespace, release); uids(again) != uids(after) {
			c.t.Errorf("%s: pods were restarted although nothing has changed", release)
		}
	}
}

func uids(pods []pod) string {
	var all []string
	for _, one := range pods {
		all = append(all, one.Metadata.UID)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// Nodes are drained one pod at a time: while one has no place, no other goes.
func (c *cluster) eviction() {
	for i := range 3 {
		c.kubectl("cordon", fmt.Sprintf("node-%d", i))
	}
	evict := func(name string) (string, error) {
		body := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`,
			name, namespace)
		return c.try(body, "create", "--raw",
			fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", namespace, name), "-f", "-")
	}
	allowed := func() string {
		return c.kubectl("get", "pdb", "y-balanceq", "-n", namespace, "-o", "jsonpath={.status.disruptionsAllowed}")
	}
	c.eventually("a pod may be evicted", func() bool { return allowed() == "1" })
	if text, err := evict("y-balanceq-0"); err != nil {
		c.t.Fatalf("%v\n%s", err, text)
	}
	if text, err := evict("y-balanceq-1"); err == nil || !strings.Contains(text, "disruption budget") {
		c.t.Errorf("a second pod was evicted: %v\n%s", err, text)
	}
	for i := range 3 {
		c.kubectl("uncordon", fmt.Sprintf("node-%d", i))
	}
	c.eventually("the pod is back, and another may be evicted", func() bool { return allowed() == "1" })
}

// What others' operators read is what they say that it should be.
func (c *cluster) customResources() {
	c.install("install", "watched", "monitored")
	for _, kind := range []string{"podmonitor", "prometheusrule", "scaledobject"} {
		c.kubectl("get", kind, "watched-balanceq", "-n", namespace)
	}
	shown := func(kind, path string) string {
		return c.kubectl("get", kind, "watched-balanceq", "-n", namespace, "-o", "jsonpath={"+path+"}")
	}
	rules := shown("prometheusrule", ".spec.groups[*].rules[*].alert")
	if count := len(strings.Fields(rules)); count < 20 {
		c.t.Errorf("%d alerts: %s", count, rules)
	}
	query := shown("scaledobject", ".spec.triggers[0].metadata.query")
	job := namespace + "/watched-balanceq"
	want := fmt.Sprintf("sum(balanceq_scale_demand{job=%[1]q} or (up{job=%[1]q} == bool 0))", job)
	if query != want {
		c.t.Errorf("scales by %s, want %s", query, want)
	}
	good := rendered(c.t, slices.Concat([]string{"watched", chart, "-n", namespace}, values("monitored"))...)
	for old, bad := range map[string]string{
		"path: /metrics": "path: [x]", "maxReplicaCount: 24": "maxReplicaCount: many", "severity: page": "severity: [page]",
	} {
		broken := strings.Replace(good, old, bad, 1)
		text, err := c.try(broken, "apply", "--dry-run=server", "-n", namespace, "-f", "-")
		if err == nil || broken == good {
			c.t.Errorf("%s: nothing is refused: %s", bad, text)
		}
	}
}

// The plain manifests, and the pod of helm test, without a word of warning.
func (c *cluster) manifests() {
	all := slices.Concat([]string{"tried", chart, "-n", namespace, "--no-hooks"}, values("mastercard"))
	doctor := slices.Concat([]string{"y", chart, "-n", namespace, "--show-only", "templates/tests/doctor.yaml"},
		values("exactly-once"))
	for name, text := range map[string]string{
		"balanceq.yaml": read(c.t, manifests+"/balanceq.yaml"), "monitoring.yaml": read(c.t, manifests+"/monitoring.yaml"),
		"all of the chart": rendered(c.t, all...), "helm test": rendered(c.t, doctor...),
	} {
		said, err := c.try(text, "apply", "--server-side", "--dry-run=server", "-n", namespace, "-f", "-")
		if err != nil || strings.Contains(said, "Warning") {
			c.t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}

// It leaves nothing behind.
func (c *cluster) uninstall() {
	for _, release := range []string{"y", "plain", "watched"} {
		c.helm("uninstall", release, "-n", namespace, "--wait", "--timeout", "60s")
	}
	const kinds = "statefulset,deployment,pod,secret,configmap,service,serviceaccount,pdb,networkpolicy," +
		"podmonitor,prometheusrule,scaledobject"
	c.eventually("nothing is left", func() bool {
		left := c.kubectl("get", kinds, "-n", namespace, "-l", "app.kubernetes.io/name=balanceq")
		return strings.Contains(left, "No resources found")
	})
}
