package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

// callsCommand makes this program the bare loop, in place of the program under measurement.
const callsCommand = "calls"

// looped is what the bare loop tells.
type looped struct {
	Took time.Duration
	CPU  time.Duration
}

// transport measures a bare loop of calls on the transport of the CMS client, in a process of its own as the program's
// calls are: what is left of it in batch is the rest of a record's way.
func (b *bench) transport(ctx context.Context, w io.Writer) (figures, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	before := ownCPU()
	loop := exec.CommandContext(ctx, self, callsCommand, b.cms.URL(), strconv.Itoa(b.n), strconv.Itoa(b.inFlight),
		strconv.Itoa(b.contracts))
	loop.Stderr = os.Stderr
	out, err := loop.Output()
	if err != nil {
		return nil, fmt.Errorf("the loop of calls: %w", err)
	}
	harness := float64((ownCPU() - before).Microseconds()) / float64(b.n)
	var got looped
	if err := json.Unmarshal(out, &got); err != nil {
		return nil, fmt.Errorf("reading what the loop of calls says: %w", err)
	}
	perSecond := float64(b.n) / got.Took.Seconds()
	cpu := float64(got.CPU.Microseconds()) / float64(b.n)
	_, err = fmt.Fprintf(w, "transport  n=%d latency=%v in-flight=%d  %.0f/s  cpu %.1f us/call (harness %.1f)  "+
		"connections %d\n", b.n, b.latency, b.inFlight, perSecond, cpu, harness, b.cms.Stats().Connections)
	return figures{{"calls/s", perSecond}, {"CPU, us/call", cpu}}, err
}

// calls is the bare loop. args are the base URL, how many calls to make, how many at a time, for how many contracts.
func calls(ctx context.Context, args []string, w io.Writer) error {
	if len(args) != 4 {
		return errors.New("calls: a base URL and three numbers are wanted")
	}
	var numbers [3]int64
	for i := range numbers {
		n, err := strconv.ParseInt(args[i+1], 10, 32)
		if err != nil {
			return fmt.Errorf("calls: %w", err)
		}
		numbers[i] = n
	}
	base, err := url.Parse(args[0])
	if err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	began, cpu := time.Now(), ownCPU()
	if err := callAll(ctx, base, numbers[0], numbers[1], numbers[2]); err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	return json.NewEncoder(w).Encode(looped{Took: time.Since(began), CPU: ownCPU() - cpu})
}

func callAll(ctx context.Context, base *url.URL, n, atATime, contracts int64) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	transport := http1.New(http1.Config{ConnectTime: timeout, IdleTime: time.Minute, MaxHeader: 64 << 10})
	defer transport.CloseIdleConnections()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range atATime {
		wg.Go(func() {
			for i := next.Add(1); i <= n && ctx.Err() == nil; i = next.Add(1) {
				if err := callOnce(ctx, transport, base, firstContract+i%contracts); err != nil {
					fail(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// callOnce sends what the CMS client sends, and reads the answer without a look at it.
func callOnce(ctx context.Context, transport *http1.Transport, base *url.URL, contract int64) error {
	target := *base
	target.Path += "/contracts/" + strconv.FormatInt(contract, 10) + "/balances"
	target.RawQuery = "balance_codes=AVAILABLE%2CBLOCKED"
	r := (&http.Request{
		Method: http.MethodGet, URL: &target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Accept": {"application/json;charset=utf-8"}, "Accept-Encoding": {"identity"},
			"Content-Type": {"application/json;charset=utf-8"}, "User-Agent": {"balanceq"},
			"Correlation-Id": {"2f1c3a0e-0f0b-4c39-9a55-5d3c0c6d7b10"},
		},
	}).WithContext(http1.Until(ctx, time.Now().Add(timeout)))
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // reading it has told everything
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the CMS answers with status %d", resp.StatusCode)
	}
	return nil
}
