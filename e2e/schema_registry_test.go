package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// envRegistry names a folder that has Apicurio Registry (apicurio), a Java for it (java), and a Python with
// confluent-kafka (venv), for the test of schema registries: make registry.
const envRegistry = "BALANCEQ_TEST_REGISTRY"

// registryStart is longer than a JVM with a registry takes to start on a busy machine.
const registryStart = 2 * time.Minute

// apicurio is a registry that lives as long as the test, or until it is stopped.
type apicurio struct {
	t    *testing.T
	url  string // of Confluent's API
	stop func()
}

func startApicurio(t *testing.T, dir string) *apicurio {
	t.Helper()
	port, err := kafkatest.FreePort()
	management, failed := kafkatest.FreePort()
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "java"), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-jar",
		"quarkus-run.jar")
	cmd.Dir = filepath.Join(dir, "apicurio")
	cmd.Env = append(os.Environ(), "QUARKUS_HTTP_HOST=127.0.0.1", "QUARKUS_MANAGEMENT_HOST=127.0.0.1",
		"QUARKUS_HTTP_PORT="+strconv.Itoa(port), "QUARKUS_MANAGEMENT_PORT="+strconv.Itoa(management))
	log, err := os.Create(filepath.Join(t.TempDir(), "apicurio.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &apicurio{t: t, url: fmt.Sprintf("http://127.0.0.1:%d/apis/ccompat/v7", port)}
	a.stop = func() {
		stop()
		_ = cmd.Wait() // it was killed
	}
	t.Cleanup(func() {
		a.stop()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("Apicurio: %s", text[max(0, len(text)-4000):])
		}
	})
	kafkatest.Eventually(t, registryStart, "Apicurio has started", func() bool {
		_, err := a.ask(http.MethodGet, "/subjects", nil)
		return err == nil
	})
	return a
}

// ask returns what the registry answers.
func (a *apicurio) ask(method, path string, body any) (answer map[string]any, _ error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, a.url+path, strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s %s: HTTP %d: %s", method, path, res.StatusCode, text), err)
	}
	_ = json.Unmarshal(text, &answer) // some answers are lists, of which nothing is wanted
	return answer, err
}

// register returns the id of a schema.
func (a *apicurio) register(subject, kind, schema string) uint32 {
	a.t.Helper()
	answer, err := a.ask(http.MethodPost, "/subjects/"+subject+"/versions",
		map[string]string{"schemaType": kind, "schema": schema})
	id, ok := answer["id"].(float64)
	if err != nil || !ok {
		a.t.Fatalf("registering %s: %v, %v", subject, answer, err)
	}
	return uint32(id)
}

// framed puts a registry's frame before a value.
func framed(id uint32, value []byte) []byte {
	return append([]byte{0, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}, value...)
}

// Requests that Confluent's serializer writes are read, results that it reads are written, and a registry that is gone
// stops neither. Kafka is real, the registry is Apicurio's, and the serializers are those of confluent-kafka.
func TestSchemaRegistry(t *testing.T) {
	dir := os.Getenv(envRegistry)
	if dir == "" {
		t.Skip("make registry runs it")
	}
	registry := startApicurio(t, dir)
	r := newRig(t, 1, cmssim.Config{})
	flags := []string{"--results.registry.url=" + registry.url, "--requests.registry.url=" + registry.url}

	refused := launch(t, append(r.flags(), flags...)...)
	if code := refused.wait(waitTimeout).ExitCode(); code != 1 || !strings.Contains(refused.output.String(),
		"register schemas/v1/balance-result.schema.json of this release as "+r.results+"-value") {
		t.Errorf("without a schema of results run ended with %d: %s", code, refused.output.String())
	}

	in := r.StartReady(append(flags, "--results.registry.auto-register=true")...)
	r.confluent(dir, registry, "70001", "70002")
	in.Stop()
	in = r.StartReady(append(flags, "--delivery=exactly-once")...) // the schema is there now
	r.confluent(dir, registry, "70003", "70004")

	avro := registry.register("another-value", "AVRO", `"string"`)
	foreign := registry.register("third-value", "JSON",
		`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{}}`)
	wrong := map[string][]byte{
		fmt.Sprintf("value: is framed as schema id %d, which is AVRO; send JSON", avro): framed(avro, []byte("\x0a70001")),
		fmt.Sprintf("value: is framed as schema id %d, which is none of %s-value; send one of those", foreign,
			r.requests): framed(foreign, ask(70005, "AVAILABLE").Value),
		"value: is framed as schema id 4711, which the registry does not know; register the schema": framed(4711,
			ask(70006, "AVAILABLE").Value),
	}
	for _, value := range wrong {
		r.broker.Produce(t, r.requests, kafka.Message{Key: []byte("k"), Value: value})
	}
	for _, m := range r.broker.Read(t, r.deadletters, len(wrong)) {
		if want := wrong[headersOf(m)[schemas.HeaderDetail]]; string(m.Value) != string(want) || want == nil {
			t.Errorf("dead letter %q: %q", headersOf(m)[schemas.HeaderDetail], m.Value)
		}
	}

	registry.stop()
	before := len(r.broker.ReadAll(t, r.results))
	known := r.broker.ReadAll(t, r.requests)[0].Value[:5]
	r.broker.Produce(t, r.requests, ask(70007, "AVAILABLE"),
		kafka.Message{Value: slices.Concat(known, ask(70008, "AVAILABLE").Value)},
		kafka.Message{Value: framed(99, ask(70009, "AVAILABLE").Value)})
	r.broker.Read(t, r.results, before+3)
	if n := in.Metrics().sum("balanceq_schema_ids_unchecked_total"); n != 1 {
		t.Errorf("%v ids were not checked, want one", n)
	}
	in.saysInTime(`"event":"registry_away"`)

	r.replayed(wrong)
	in.Stop()
}

// confluent asks for contracts by confluent-kafka's serializer, and wants its deserializer to read their results.
func (r *rig) confluent(dir string, registry *apicurio, contracts ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "venv/bin/python"), append([]string{
		"testdata/confluent_registry.py", r.broker.Brokers()[0], registry.url, r.requests, r.results,
		"../schemas/v1/balance-request.schema.json"}, contracts...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if n := strings.Count(string(out), "\n"); err != nil || n != len(contracts) {
		r.t.Fatalf("confluent-kafka read %d results of %d: %v", n, len(contracts), err)
	}
	for line := range strings.Lines(string(out)) {
		result, err := schemas.DecodeResult([]byte(line))
		if err != nil || !slices.Contains(contracts, result.RequestID) || result.Outcome != schemas.OutcomeComplete {
			r.t.Errorf("%s: %v", line, err)
		}
	}
	all := r.broker.ReadAll(r.t, r.results)
	id, is := schemas.SchemaID(all[len(all)-1].Value)
	if !is || id == 0 || headersOf(all[len(all)-1])["content-type"] != "application/octet-stream" {
		r.t.Errorf("a result is framed as %d (%t)", id, is)
	}
}

// replayed wants dead letters to come back with their frames.
func (r *rig) replayed(wrong map[string][]byte) {
	r.t.Helper()
	before := len(r.broker.ReadAll(r.t, r.requests))
	run := launch(r.t, "deadletters", "replay", "--all", "--execute", "--canary=off", "--http.listen=off",
		"--kafka.brokers="+r.broker.Brokers()[0], "--kafka.group="+r.group, "--topics.requests="+r.requests,
		"--topics.results="+r.results, "--topics.deadletters="+r.deadletters, "--topics.replays="+r.replays)
	if code := run.wait(waitTimeout).ExitCode(); code != 0 {
		r.t.Fatalf("replay ended with %d: %s", code, run.output.String())
	}
	again := r.broker.ReadAll(r.t, r.requests)[before:]
	if len(again) != len(wrong) {
		r.t.Errorf("%d of %d were replayed", len(again), len(wrong))
	}
	for _, m := range again {
		if !slices.ContainsFunc(slices.Collect(maps.Values(wrong)), func(v []byte) bool { return bytes.Equal(v, m.Value) }) {
			r.t.Errorf("replayed %q", m.Value)
		}
	}
}
