package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// statusDocument is what status writes as JSON, as its users would declare it.
type statusDocument struct {
	OK       bool
	Summary  string
	Problems []struct{ About, What string }
	Notes    []string
	Lag      int64
	Group    *struct {
		State, Protocol string
		Members         []struct {
			ID, Instance string
			Partitions   []int32
		}
		Partitions []struct {
			Member     string
			Lag        int64
			LagSeconds *float64
		}
	}
	Instances []struct {
		URL, Error string
		Member     bool
		Status     *struct {
			Instance string
			Held     []struct{ Partition int32 }
		}
	}
}

// status runs the command and returns its exit code and what it wrote to standard output.
func (r *rig) status(args ...string) (code int, out string) {
	r.t.Helper()
	path, err := program()
	if err != nil {
		r.t.Fatal(err)
	}
	args = append([]string{"status", "--kafka.group=" + r.group, "--topics.requests=" + r.requests}, args...)
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--kafka.brokers=") }) {
		args = append(args, "--kafka.brokers="+r.broker.Brokers()[0])
	}
	cmd := exec.CommandContext(r.t.Context(), path, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BALANCEQ_") })
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		r.t.Fatal(err)
	}
	if code = cmd.ProcessState.ExitCode(); code > 1 {
		r.t.Fatalf("status %v: exit code %d: %s", args, code, stderr.String())
	}
	return code, stdout.String()
}

// statusJSON is status with --output json.
func (r *rig) statusJSON(args ...string) (code int, d statusDocument) {
	r.t.Helper()
	code, out := r.status(append(args, "--output=json")...)
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		r.t.Fatalf("%v in %s", err, out)
	}
	if d.OK != (code == 0) || d.OK != (len(d.Problems) == 0) || d.Group != nil && len(d.Group.Partitions) != 4 {
		r.t.Errorf("exit code %d: %+v", code, d)
	}
	return code, d
}

// has says whether a problem holds both texts.
func (d statusDocument) has(about, what string) bool {
	return slices.ContainsFunc(d.Problems, func(p struct{ About, What string }) bool {
		return strings.Contains(p.About, about) && strings.Contains(p.What, what)
	})
}

// Two instances and their group, as they really are: who holds what, what is wrong and whose fault it is; by both group
// protocols where the brokers offer both.
func TestStatus(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"classic", "auto"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 4, cmssim.Config{})
			first := r.StartReady("--kafka.group-protocol=" + protocol)
			second := r.StartReady("--kafka.group-protocol=" + protocol)
			both := "--service=" + first.http + "," + second.http
			r.Send(asks(100, 20, 61_000)...)
			r.AwaitWritten(r.results, 100)

			var d statusDocument
			kafkatest.Eventually(t, waitTimeout, "all is well", func() bool {
				var code int
				code, d = r.statusJSON(both)
				return code == 0 && len(d.Notes) == 0 && d.Lag == 0 && len(d.Instances[0].Status.Held) == 2
			})
			held := map[string][]int32{}
			for _, m := range d.Group.Members {
				held[m.Instance] = m.Partitions
			}
			for _, i := range d.Instances {
				var own []int32
				for _, h := range i.Status.Held {
					own = append(own, h.Partition)
				}
				if !i.Member || !slices.Equal(own, held[i.Status.Instance]) {
					t.Errorf("%s holds %v, by Kafka %v", i.Status.Instance, own, held[i.Status.Instance])
				}
			}
			if len(held) != 2 || d.Group.State != "Stable" ||
				!strings.HasPrefix(d.Summary, "all is well: 2 instances, 2 members, 4 partitions, lag 0") {
				t.Errorf("%+v", d)
			}

			// One of them is not named: a member that is none of those that answer. By default none is named.
			if code, d := r.statusJSON("--service=" + first.http); code != 1 || !d.has("member ", "none of the instances") {
				t.Errorf("one named: %d %+v", code, d)
			}
			// Until that is the only note: kfake has all groups of consumers share out again when any test makes a topic.
			kafkatest.Eventually(t, waitTimeout, "one by default, and the other one noted", func() bool {
				code, d := r.statusJSON("--http.listen=" + first.http)
				return code == 0 && len(d.Notes) == 1 && strings.Contains(d.Notes[0], "a member that was not asked")
			})
			// Only Kafka, only instances.
			if code, d := r.statusJSON("--http.listen=off"); code != 0 || len(d.Group.Members) != 2 || len(d.Instances) != 0 {
				t.Errorf("only Kafka: %d %+v", code, d)
			}
			if code, d := r.statusJSON("--kafka=off", both); code != 0 || d.Group != nil || len(d.Instances) != 2 {
				t.Errorf("only instances: %d %+v", code, d)
			}
			if code, d := r.statusJSON(both, "--kafka.brokers=127.0.0.1:1"); code != 1 || len(d.Instances) != 2 ||
				!d.has("kafka", "asking Kafka at") {
				t.Errorf("no Kafka: %d %+v", code, d)
			}

			// An outage: what waits is told by Kafka, why by the instances.
			r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: 503})
			r.Send(asks(100, 20, 62_000)...)
			kafkatest.Eventually(t, waitTimeout, "the outage is told", func() bool {
				_, d = r.statusJSON(both, "--max-lag=100ms")
				return d.has("i", "breaker") && d.has("i", "503") && d.has("lag", "requests wait, the oldest for")
			})
			if _, screen := r.status(both); !strings.HasPrefix(screen, "needs attention: i") ||
				!strings.Contains(screen, "breaker") || !strings.Contains(screen, "group "+r.group) {
				t.Errorf("the screen:\n%s", screen)
			}

			// One is killed: first it does not answer, and Kafka has it in the group until its session is over; then the other
			// holds all.
			second.Kill()
			if code, d := r.statusJSON(both); code != 1 || !d.has("http://"+second.http, "cannot be reached") {
				t.Errorf("killed: %d %+v", code, d)
			}
			kafkatest.Eventually(t, waitTimeout, "the other holds all", func() bool {
				_, d = r.statusJSON("--service=" + first.http)
				return len(d.Group.Members) == 1 && len(d.Group.Members[0].Partitions) == 4 && d.Group.State == "Stable"
			})
			first.Kill()
			kafkatest.Eventually(t, waitTimeout, "the group is empty", func() bool {
				_, d = r.statusJSON("--http.listen=off")
				return d.has("group "+r.group, "it has no member")
			})
		})
	}
}
