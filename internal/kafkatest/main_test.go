package kafkatest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/segmentio/kafka-go"
)

func TestMain(m *testing.M) { Main(m) }

// rerun runs one test of this executable in a process of its own, and returns its output and exit code.
func rerun(t *testing.T, test string, env ...string) (output string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// Nothing listens on port 1.
var noEngine = []string{"DOCKER_HOST=tcp://127.0.0.1:1", envBrokers + "="}

func TestFallsBackWithoutEngine(t *testing.T) {
	t.Parallel()
	needsBroker(t)
	start := time.Now()
	output, code := rerun(t, "TestRoundTrip", append(noEngine, envRequire+"=")...)
	first, _, _ := strings.Cut(output, "\n")
	if code != 0 || !strings.HasPrefix(first, "kafkatest: broker embedded (kfake), not a container (") ||
		!strings.Contains(first, "no container engine answers: ") {
		t.Errorf("code %d, output:\n%s", code, output)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestFallsBackWithoutImage(t *testing.T) {
	t.Parallel()
	if os.Getenv(envBrokers) != "" || current.choice.kind != KindContainer {
		t.Skip("no container engine")
	}
	const image = envImage + "=127.0.0.1:1/no/such-image:1"
	output, code := rerun(t, "TestRoundTrip", image, envRequire+"=")
	first, _, _ := strings.Cut(output, "\n")
	if code != 0 || !strings.Contains(first, "embedded (kfake)") ||
		!strings.Contains(first, "image 127.0.0.1:1/no/such-image:1 cannot be had: ") {
		t.Errorf("code %d, output:\n%s", code, output)
	}
}

func TestRequireContainersFails(t *testing.T) {
	t.Parallel()
	output, code := rerun(t, "TestRoundTrip", append(noEngine, envRequire+"=1")...)
	if code != 1 || !strings.Contains(output, "no broker: "+envRequire+"=1, but no container engine answers: ") ||
		strings.Contains(output, "--- PASS") {
		t.Errorf("code %d, output:\n%s", code, output)
	}
}

func TestExternalBroker(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	list := strings.Join(b.Brokers(), " , ")
	output, code := rerun(t, "TestRoundTrip", envBrokers+"="+list)
	first, _, _ := strings.Cut(output, "\n")
	if want := "kafkatest: broker external at " + strings.Join(b.Brokers(), ","); code != 0 || first != want {
		t.Errorf("code %d, first line not %q:\n%s", code, want, output)
	}
	output, code = rerun(t, "TestRestart", envBrokers+"="+list)
	if code != 0 || !strings.Contains(output, "--- SKIP: TestRestart") {
		t.Errorf("code %d, output:\n%s", code, output)
	}
	output, code = rerun(t, "TestRoundTrip", envBrokers+"=nonsense")
	if code != 1 || !strings.Contains(output, envBrokers+`: "nonsense" is not host:port`) {
		t.Errorf("code %d, output:\n%s", code, output)
	}
}

const crashEnv = "BALANCEQ_KAFKATEST_CRASH"

// TestCrash is not a test by itself: TestNothingOutlivesACrash runs it.
func TestCrash(t *testing.T) {
	if os.Getenv(crashEnv) == "" {
		t.Skip("runs only as a part of TestNothingOutlivesACrash")
	}
	fmt.Printf("container=%s\n", New(t).serve.(*containerServer).id)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	_ = self.Kill()
	select {}
}

func TestNothingOutlivesACrash(t *testing.T) {
	t.Parallel()
	if current.choice.kind != KindContainer {
		t.Skip("no containers here")
	}
	output, code := rerun(t, "TestCrash", crashEnv+"=1")
	_, id, found := strings.Cut(output, "container=")
	id, _, _ = strings.Cut(id, "\n")
	if code == 0 || !found || len(id) != 64 {
		t.Fatalf("code %d, output:\n%s", code, output)
	}
	engine := current.choice.engine
	defer engine.Client.Close()
	Eventually(t, time.Minute, "container "+id+" is gone", func() bool {
		_, err := engine.Client.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
		return cerrdefs.IsNotFound(err)
	})
}

func TestReap(t *testing.T) {
	t.Parallel()
	var removed []string
	reap(strings.NewReader("+a\n+b\n+c\n-a\n-c\n+d\n-d\n"), func(id string) error {
		removed = append(removed, id)
		return errors.New("gone")
	})
	if len(removed) != 1 || removed[0] != "b" {
		t.Errorf("removed %v", removed)
	}
}

// A port that was taken after it was chosen costs a second try, not the run.
func TestLaunchTakesAnotherPort(t *testing.T) {
	t.Parallel()
	if current.choice.kind == KindExternal {
		t.Skip("starts no broker")
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	b, err := launch(t.Context(), current.choice, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.remove(); err != nil {
			t.Error(err)
		}
	})
	if b.port == port || b.port < minPort || b.port > maxPort {
		t.Errorf("port %d, and %d was taken", b.port, port)
	}
	topic := b.Topic(t, 1)
	b.Produce(t, topic, kafka.Message{Value: []byte("here")})
	if got := b.ReadAll(t, topic); len(got) != 1 {
		t.Errorf("got %d records", len(got))
	}
}
