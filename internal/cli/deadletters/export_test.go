package deadletters

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

func TestDeadLettersExport(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withLetters(t)
	originals := s.Broker.ReadAll(t, s.Dead)
	c := s.Run(command.ExitDone, "deadletters", "export")
	if c.Err.String() != "exported 9 records\n" {
		t.Errorf("standard error: %s", &c.Err)
	}
	for i, line := range rows(c.Out.String()) {
		var got struct {
			Value       *string
			ValueBase64 []byte
			Headers     []json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		value := got.ValueBase64
		if got.Value != nil {
			value = []byte(*got.Value)
		}
		if m := originals[i]; string(value) != string(m.Value) || (value == nil) != (m.Value == nil) ||
			len(got.Headers) != len(m.Headers) {
			t.Errorf("offset %d: %.200s", i, line)
		}
	}
	c = s.Run(command.ExitDone, "deadletters", "export", "--format", "csv")
	cells, err := csv.NewReader(strings.NewReader(c.Out.String())).ReadAll()
	if err != nil || len(cells) != allLetters+1 {
		t.Fatalf("%d rows, error %v", len(cells), err)
	}
	column := slices.Index(cells[0], "value")
	for i, m := range originals {
		value := []byte(cells[i+1][column])
		if cells[i+1][column+1] == "base64" {
			if value, err = base64.StdEncoding.DecodeString(string(value)); err != nil {
				t.Error(err)
			}
		}
		if string(value) != string(m.Value) || (cells[i+1][column+1] == "null") != (m.Value == nil) {
			t.Errorf("offset %d: %.200q", i, cells[i+1])
		}
	}
	c = s.Run(command.ExitDone, "deadletters", "export", "--reason", "expired,internal-error", "--status", "404",
		"--since", "2026-02-28T00:00:00Z")
	if len(rows(c.Out.String())) != 2 {
		t.Errorf("filtered:\n%s", &c.Out)
	}
}

func TestDeadLettersExportFile(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withLetters(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "letters.csv")
	c := s.Run(command.ExitDone, "deadletters", "export", "--file", name)
	first, err := os.ReadFile(name)
	if err != nil || !strings.HasPrefix(string(first), "partition,offset,time,outcome,reason,") || c.Out.String() != "" {
		t.Fatalf("error %v; the file begins with %.60q", err, first)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	c = s.Run(command.ExitFailed, "deadletters", "export", "--file", name)
	clitest.WantText(t, "the error", c.Err.String(), "--file: "+name+
		" exists; choose another name, or add --force to replace it")
	s.Run(command.ExitDone, "deadletters", "export", "--file", name, "--force", "--format", "ndjson")
	if second, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(second), `{"outcome"`) {
		t.Errorf("error %v; the file begins with %.60q", err, second)
	}

	partial := filepath.Join(dir, "b.ndjson"+partialSuffix)
	if err := os.WriteFile(partial, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c = s.Run(command.ExitFailed, "deadletters", "export", "--file", filepath.Join(dir, "b.ndjson"))
	clitest.WantText(t, "the error", c.Err.String(),
		"b.ndjson.partial exists: another export is writing it, or one was killed")
	c = s.Run(command.ExitFailed, "deadletters", "export", "--file", dir, "--format", "csv", "--force")
	clitest.WantText(t, "the error", c.Err.String(), "--file: "+dir+" is not a regular file")
	c = s.Run(command.ExitFailed, "deadletters", "export", "--file", filepath.Join(dir, "none", "c.csv"))
	clitest.WantText(t, "the error", c.Err.String(), "--file: ")
	for args, want := range map[string]string{
		"--force": "--force: is about --file", "--format yaml": `--format: "yaml" is not known`,
		"--file letters.txt": "does not tell the format",
	} {
		c = s.Run(command.ExitUsage, append([]string{"deadletters", "export"}, strings.Fields(args)...)...)
		clitest.WantText(t, "the error", c.Err.String(), want)
	}
}

// An export that ends before it is complete leaves no file that could be taken for a whole one.
func TestDeadLettersExportInterrupted(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withLetters(t)
	name := filepath.Join(t.TempDir(), "letters.ndjson")
	file, err := createExport(name, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := &exportOptions{format: command.FormatNDJSON, file: name}
	c := &command.Call{Env: &command.Env{Out: &clitest.Output{}, Err: &clitest.Output{}}, Config: s.Configuration()}
	all := &scanQuery{from: kafkawire.Earliest}
	if err := exportTo(ctx, c, o, all, file); !errors.Is(err, command.ErrInterrupted) {
		t.Errorf("error %v", err)
	}
	if err := file.discard(); err != nil {
		t.Error(err)
	}
	if err := export(ctx, c, o, all); !errors.Is(err, command.ErrInterrupted) {
		t.Errorf("error %v", err)
	}
	for _, left := range []string{name, name + partialSuffix} {
		if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", left, err)
		}
	}
}

// withCorruption makes a topic with the offsets 0 to 4, of which 1 and 2 are in a batch that cannot be decoded.
func withCorruption(t *testing.T) []string {
	t.Helper()
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "dead"))
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for range 5 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	batch := func(first byte, n int) []byte {
		records := make([]kafkawire.Record, n)
		b := kafkawire.AppendBatch(nil, kafkawire.ProducerID{ID: -1, Epoch: -1}, -1, records, time.Now())
		b[7] = first // of its base offset
		return b
	}
	bad := batch(1, 2)
	bad[len(bad)-1] ^= 1
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		log := batch(3, 2)
		asked, is := req.(*kmsg.FetchRequest)
		if !is {
			return nil, nil, false
		}
		if asked.Topics[0].Partitions[0].FetchOffset < 3 {
			log = slices.Concat(batch(0, 1), bad, log)
		}
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = asked.Version
		p := kmsg.NewFetchResponseTopicPartition()
		p.RecordBatches = log
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.Partitions = "dead", append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	return []string{"--kafka.brokers", strings.Join(cluster.ListenAddrs(), ","), "--topics.deadletters", "dead"}
}

// What cannot be read vanishes from no output.
func TestDeadLettersUnreadable(t *testing.T) {
	cluster := withCorruption(t)
	name := filepath.Join(t.TempDir(), "letters.csv")
	const gap = `{"unreadable":{"partition":0,"from":1,"to":3,"error":"undecodable record batch at offset 1: wrong checksum"}}`
	tests := map[string]struct {
		code     int
		out, err []string
		lines    int
	}{
		"list": {command.ExitDone, []string{"total          3 ", "(unreadable)   2\n"},
			[]string{"warning: offsets 1 to 2 of dead/0 cannot be read: "}, 4},
		"list --output json": {command.ExitDone, []string{`"count":3,`, `{"unreadable":{"offsets":2}}` + "\n"},
			[]string{"warning: "}, 2},
		"list --records --output json": {command.ExitDone, []string{gap}, []string{"warning: "}, 4},
		"export": {command.ExitDone, []string{gap},
			[]string{"exported 3 records; 2 offsets could not be read\n"}, 4},
		"export --format csv": {command.ExitFailed, nil,
			[]string{"exported 3 records; 2 offsets could not be read\nbalanceq: 2 offsets could not be read, which csv " +
				"cannot say"}, 4},
		"export --file " + name: {command.ExitFailed, nil, []string{"2 offsets could not be read"}, 0},
		"show 0/1": {command.ExitFailed, nil,
			[]string{"balanceq: dead/0/1 cannot be read: undecodable record batch at offset 1: wrong checksum"}, 0},
		"show 0/4": {command.ExitFailed, []string{"value    (null)"}, []string{"is not a dead letter"}, 12},
	}
	for call, test := range tests {
		t.Run(call, func(t *testing.T) {
			var out, errOut clitest.Output
			code := clitest.Execute(t.Context(), append(append([]string{"deadletters"}, strings.Fields(call)...), cluster...),
				nil, &out, &errOut, Command)
			clitest.WantText(t, "the output", out.String(), test.out...)
			clitest.WantText(t, "standard error", errOut.String(), test.err...)
			if lines := strings.Count(out.String(), "\n"); code != test.code || lines != test.lines {
				t.Errorf("exit code %d, %d lines:\n%s%s", code, lines, &out, &errOut)
			}
		})
	}
	if text, err := os.ReadFile(name); err != nil || strings.Count(string(text), "\n") != 4 {
		t.Errorf("error %v; the file holds %q", err, text)
	}
}

// A closed output, as of "| head", ends the export.
func TestDeadLettersExportOutputFails(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withLetters(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer func() { _ = w.Close() }()
	for _, format := range []string{command.FormatNDJSON, command.FormatCSV} {
		var errOut clitest.Output
		code := clitest.Execute(t.Context(), s.Args("deadletters", "export", "--format", format), nil, w, &errOut, Command)
		if code != command.ExitFailed || strings.Count(errOut.String(), "broken pipe") != 1 {
			t.Errorf("%s: exit code %d: %s", format, code, &errOut)
		}
	}
}
