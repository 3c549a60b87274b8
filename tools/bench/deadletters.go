package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/schemas"
)

// letters fills the dead-letter topic and has the program's tools read it: what they count by, how fast, and with how
// much memory. In the end all are replayed.
func (b *bench) letters(ctx context.Context, w io.Writer) error {
	if err := b.writeDeadLetters(ctx); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"list"}, {"list", "--by=contract"}, {"list", "--grep=no-such-text"}, {"export"}, {"replay"},
		{"replay", "--all", "--execute", "--canary=off"},
	} {
		took, used, err := b.tool(ctx, args...)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "deadletters %-30s n=%d  %.0f/s  %.2fs  cpu %.1f us/letter  peak RSS %v\n",
			strings.Join(args, " "), b.n,
			float64(b.n)/took.Seconds(), took.Seconds(), float64(used.cpu.Microseconds())/float64(b.n), used); err != nil {
			return err
		}
	}
	return nil
}

// writeDeadLetters writes n dead letters as the program would, of requests that were not sent.
func (b *bench) writeDeadLetters(ctx context.Context) error {
	var failed error
	for i := range b.n {
		contract := strconv.Itoa(firstContract + i%b.contracts)
		d := schemas.DeadLetter{
			Record: &schemas.Record{
				Position: schemas.Position{Topic: b.topic("requests"), Partition: int32(i % b.parts), Offset: int64(i)},
				Key:      []byte(contract), Value: b.requestFor(contract, i, time.Now()).Value,
			},
			Reason:    schemas.Reasons[i%len(schemas.Reasons)],
			Detail:    "HTTP 400 REQUEST_VALIDATION from MASTERCARD PROCESSING",
			RequestID: strconv.Itoa(i), HTTPStatus: 400, CMSReasonCode: "REQUEST_VALIDATION", Attempts: 1,
			FirstFailure: time.Now(),
			LastFailure:  time.Now(), CorrelationID: "287e61e3-afbe-4f69-9150-a718b7c426d3", DecidedAt: time.Now(),
		}
		m := d.Message(schemas.Origin{Group: b.group(), Instance: "bench", Version: "v1.0.0"})
		r := &kgo.Record{Topic: b.topic("deadletters"), Key: m.Key, Value: m.Value, Timestamp: m.Time}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader(h))
		}
		b.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := b.client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// tool runs "deadletters" of the program and returns how long it took and what it has used.
func (b *bench) tool(ctx context.Context, args ...string) (took time.Duration, used usage, err error) {
	args = append([]string{"deadletters"}, args...)
	cmd := exec.CommandContext(ctx, b.binary, append(args, "--kafka.brokers="+b.brokers, "--topics.requests="+
		b.topic("requests"),
		"--topics.results="+b.topic("results"), "--topics.deadletters="+b.topic("deadletters"), "--topics.replays="+
			b.topic("replays"),
		"--http.listen=off", "--http.admin=off", "--log.level=warn")...)
	var complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &complaints
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, used, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Not the rusage of its end: that counts what we had when it was forked.
	for look := time.NewTicker(lookEvery); ; {
		select {
		case err = <-ended:
			if err != nil {
				err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, complaints.Bytes())
			}
			return time.Since(began), used, err
		case <-look.C:
			if u, err := usageOf(cmd.Process.Pid); err == nil {
				used = usage{u.cpu, max(used.peakRSS, u.peakRSS)} // of one that has ended, only the first is known
			}
		}
	}
}
