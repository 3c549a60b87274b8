package helm

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// envCluster names the folder that .ci/apiserver has filled: a control plane, kwok, which plays the nodes, and the
// custom resources of others.
const envCluster = "BALANCEQ_CLUSTER"

const (
	token       = "a-token-of-this-test"
	waitTimeout = time.Minute // the machine may be busy
)

// cluster is an API server with its controllers, its scheduler and three nodes. Containers do not run on those: kwok
// says that they do.
type cluster struct {
	t          *testing.T
	folder     string // of the programs
	dir        string // of this run
	url        string
	kubeconfig string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	folder := os.Getenv(envCluster)
	if folder == "" {
		t.Skip("make chart runs it where make apiserver has built a control plane")
	}
	c := &cluster{t: t, folder: folder, dir: t.TempDir()}
	ports := make([]int, 3)
	for i := range ports {
		var err error
		if ports[i], err = kafkatest.FreePort(); err != nil {
			t.Fatal(err)
		}
	}
	c.url = fmt.Sprintf("https://127.0.0.1:%d", ports[0])
	c.kubeconfig = filepath.Join(c.dir, "kubeconfig")
	write(t, c.kubeconfig, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: a,
  clusters: [{name: a, cluster: {server: %q, insecure-skip-tls-verify: true}}],
  users: [{name: a, user: {token: %s}}], contexts: [{name: a, context: {cluster: a, user: a}}]}`, c.url, token))
	write(t, filepath.Join(c.dir, "tokens"), token+",admin,admin,system:masters\n")
	key := filepath.Join(c.dir, "accounts.pem")
	write(t, key, pair().key)

	client, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1]), fmt.Sprintf("http://127.0.0.1:%d", ports[2])
	c.start("apiserver", "etcd", "--data-dir="+filepath.Join(c.dir, "etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+client, "--advertise-client-urls="+client, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	c.start("apiserver", "kube-apiserver", "--etcd-servers="+client, "--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[0]), "--cert-dir="+filepath.Join(c.dir, "certs"),
		"--token-auth-file="+filepath.Join(c.dir, "tokens"), "--authorization-mode=RBAC",
		"--endpoint-reconciler-type=none",
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key,
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/24")
	c.eventually("the API server is ready", func() bool { return c.ready() })
	c.start("apiserver", "kube-controller-manager", "--kubeconfig="+c.kubeconfig, "--secure-port=0",
		"--leader-elect=false", "--service-account-private-key-file="+key)
	c.start("apiserver", "kube-scheduler", "--kubeconfig="+c.kubeconfig, "--secure-port=0", "--leader-elect=false")
	c.start("kwok", "--kubeconfig="+c.kubeconfig, "--manage-all-nodes",
		"--config="+filepath.Join(folder, "stages.yaml"))
	c.apply(nodes())
	c.apply(c.resourcesOfOthers())
	c.eventually("three nodes are ready", func() bool {
		ready := c.kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}")
		return strings.Count(ready, "True") == 3
	})
	return c
}

// start runs a program until the test ends.
func (c *cluster) start(program string, args ...string) {
	c.t.Helper()
	log := filepath.Join(c.dir, args[0]+".log")
	if program != "apiserver" {
		log = filepath.Join(c.dir, program+".log")
	}
	out, err := os.Create(log)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(c.folder, program), args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		_ = out.Close()
		if c.t.Failed() {
			lines := strings.Split(read(c.t, log), "\n")
			c.t.Logf("%s wrote at last:\n%s", filepath.Base(log), strings.Join(lines[max(0, len(lines)-8):], "\n"))
		}
	})
}

func nodes() string {
	var b strings.Builder
	for i, zone := range []string{"a", "b", "c"} {
		fmt.Fprintf(&b, `{apiVersion: v1, kind: Node, metadata: {name: node-%d, annotations: {kwok.x-k8s.io/node: fake},
  labels: {kubernetes.io/hostname: node-%d, kubernetes.io/arch: amd64, topology.kubernetes.io/zone: %s}},
  status: {allocatable: {cpu: "8", memory: 16Gi, pods: "110"}, capacity: {cpu: "8", memory: 16Gi, pods: "110"}}}
---
`, i, i, zone)
	}
	return b.String()
}

func (c *cluster) resourcesOfOthers() string {
	c.t.Helper()
	paths, err := filepath.Glob(filepath.Join(c.folder, "crds", "*.yaml"))
	if err != nil || len(paths) != 3 {
		c.t.Fatalf("%d custom resources (%v)", len(paths), err)
	}
	var b strings.Builder
	for _, path := range paths {
		b.WriteString(read(c.t, path) + "\n---\n")
	}
	return b.String()
}

// try runs kubectl, and returns what it prints and says.
func (c *cluster) try(stdin string, args ...string) (string, error) {
	args = append([]string{"kubectl", "--kubeconfig", c.kubeconfig}, args...)
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(c.folder, "apiserver"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	text, err := c.try("", args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return text
}

func (c *cluster) apply(manifests string) {
	c.t.Helper()
	if text, err := c.try(manifests, "apply", "--server-side", "-f", "-"); err != nil {
		c.t.Fatalf("%v\n%s", err, text)
	}
}

// helm runs it against this cluster. What the API server warns of is a fault, too.
func (c *cluster) helm(args ...string) string {
	c.t.Helper()
	text, err := helm(c.t, append(args, "--kubeconfig", c.kubeconfig)...)
	if err != nil || strings.Contains(strings.ToLower(text), "warning") {
		c.t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return text
}

func (c *cluster) eventually(what string, holds func() bool) {
	c.t.Helper()
	kafkatest.Eventually(c.t, waitTimeout, what, holds)
}

// get asks the API itself.
func (c *cluster) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return (&http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // of this test's own server on this machine
	}}).Do(req)
}

func (c *cluster) ready() bool {
	answer, err := c.get(c.t.Context(), "/readyz")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// fewestReady watches a release's instances while act is at work, and returns how many of them were ready at the
// least.
func (c *cluster) fewestReady(namespace, release string, act func()) int {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	path := "/api/v1/namespaces/" + namespace + "/pods?watch=1&labelSelector=" +
		"app.kubernetes.io/component%3Dinstance,app.kubernetes.io/instance%3D" + release
	answer, err := c.get(ctx, path)
	if err != nil {
		c.t.Fatal(err)
	}
	before := len(c.pods(namespace, release))
	result := make(chan int)
	go func() {
		defer answer.Body.Close()
		result <- watchReady(answer.Body, before)
	}()
	act()
	cancel()
	return <-result
}

// watchReady reads events about pods, of which the first told ones are there already, until the watch ends.
func watchReady(events io.Reader, told int) (fewest int) {
	ready := map[string]bool{}
	fewest = told
	for decoder := json.NewDecoder(events); ; told-- {
		var event struct {
			Type   string
			Object pod
		}
		if decoder.Decode(&event) != nil {
			return fewest
		}
		name := event.Object.Metadata.UID
		ready[name] = event.Type != "DELETED" && event.Object.ready()
		if !ready[name] {
			delete(ready, name)
		}
		if told <= 1 {
			fewest = min(fewest, len(ready))
		}
	}
}

// pod is what the tests look at of one.
type pod struct {
	Metadata struct {
		Name, UID         string
		DeletionTimestamp string
		Annotations       map[string]string
	}
	Spec struct {
		NodeName                      string
		TerminationGracePeriodSeconds int
	}
	Status struct {
		Conditions []struct{ Type, Status string }
	}
}

// ready is what a PodDisruptionBudget and a controller take for it.
func (p pod) ready() bool {
	for _, one := range p.Status.Conditions {
		if one.Type == "Ready" {
			return one.Status == "True" && p.Metadata.DeletionTimestamp == ""
		}
	}
	return false
}

func (c *cluster) pods(namespace, release string) []pod {
	c.t.Helper()
	var all struct{ Items []pod }
	text := c.kubectl("get", "pods", "-n", namespace, "-o", "json",
		"-l", "app.kubernetes.io/component=instance,app.kubernetes.io/instance="+release)
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		c.t.Fatal(err)
	}
	return all.Items
}
