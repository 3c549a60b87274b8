package cmsclient

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// Whatever happens to calls and connections, an answer is that of the contract that it was asked for, and it stays so
// when what it was read into is used again: the balances of another contract would be the worst of all answers. With
// the race detector, memory that is given back is spoiled (internal/poison).
func TestNoAnswerIsAnotherContracts(t *testing.T) {
	const callers, calls = 8, 40
	for name, change := range map[string]func(*Config){
		"plain": func(*Config) {}, "signed": func(cfg *Config) { cfg.Auth = &counter{} },
		"hedged": func(cfg *Config) { cfg.HedgeAfter = time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig("http://" + serveMoods(t))
			cfg.MinInFlight, cfg.MaxInFlight, cfg.Timeout = callers, callers, time.Second
			cfg.Breaker.FailureRatio, cfg.Breaker.SlowCall = 1, 0 // a third of the calls fail, and all go on
			change(&cfg)
			client := newTestClient(t, cfg, nil)
			var answered atomic.Int32
			var wg sync.WaitGroup
			for caller := range callers {
				wg.Go(func() {
					kept := map[int64]Answer{} // for as long as others' are read
					for i := range calls {
						id := int64(1 + caller*calls + i)
						if a, err := askInAMood(t.Context(), client, id, rand.N(8)); err == nil {
							kept[id] = a
						}
					}
					for id, a := range kept {
						if want := balancesOf(id); len(a.Balances) != 2 || a.Balances[0] != want[0] || a.Balances[1] != want[1] ||
							a.CMSCorrelationID != "of-"+correlationOf(id) {
							t.Errorf("contract %d has %+v, of call %s", id, a.Balances, a.CMSCorrelationID)
						}
					}
					answered.Add(int32(len(kept)))
				})
			}
			wg.Wait()
			if answered.Load() == 0 {
				t.Error("no call was answered: the test proves nothing")
			}
		})
	}
}

func correlationOf(id int64) string { return "call-" + strconv.FormatInt(id, 10) }

func balancesOf(id int64) []schemas.Balance {
	text := strconv.FormatInt(id, 10)
	return []schemas.Balance{{Code: "AVAILABLE", ID: text, Currency: "EUR", Value: text + ".01"},
		{Code: "BLOCKED", ID: "9" + text, Value: "-" + text}}
}

// askInAMood makes a call that may be given up between its steps, or while it waits.
func askInAMood(ctx context.Context, c *Client, id int64, mood int) (Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := c.Admit(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer call.Release()
	q := query(id)
	q.CorrelationID = correlationOf(id)
	switch mood {
	case 0:
		time.AfterFunc(rand.N(3*time.Millisecond), cancel)
	case 1:
		call.Prepare(ctx, q)
		return Answer{}, context.Canceled
	case 2:
		call.Prepare(ctx, q)
		call.Wait()
		return Answer{}, context.Canceled
	}
	return call.Get(ctx, q)
}

// serveMoods starts a CMS that answers as it should, in several forms, or breaks off, is late, says no, or says more
// than it was asked.
func serveMoods(t *testing.T) (address string) {
	t.Helper()
	return serveConns(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(in)
			if err != nil || !answerInAMood(conn, r) {
				return
			}
		}
	})
}

func answerInAMood(conn net.Conn, r *http.Request) (goOn bool) {
	id := strings.Split(r.URL.Path, "/")[2]
	body := fmt.Sprintf(`{"contractBalances":[{"balanceCode":"AVAILABLE","balanceId":%s,"balanceCurrency":"EUR",`+
		`"balanceValue":%s.01},{"balanceCode":"BLOCKED","balanceId":9%s,"balanceValue":-%s}]}`, id, id, id, id)
	head := "HTTP/1.1 200 OK\r\nX-MC-Correlation-ID: of-" + r.Header.Get("Correlation-Id") + "\r\n"
	plain := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	half := len(plain) - len(body)/2
	say := func(text string) bool {
		_, err := io.WriteString(conn, text)
		return err == nil
	}
	switch rand.N(14) {
	case 0:
		return say(plain[:half]) && false
	case 1:
		return say(plain[:30]) && false
	case 2:
		return false
	case 3:
		return say("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno")
	case 4: // and once more, unasked
		return say(plain + plain)
	case 5: // a few too late
		if rand.N(8) == 0 {
			time.Sleep(1100 * time.Millisecond)
		}
		return say(plain)
	case 6:
		return say(fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(body), body))
	case 7: // in a form that is not the CMS's own
		spaced := strings.Replace(body, "{", `{"more":"\u00e9",`, 1)
		return say(fmt.Sprintf("%sX-More: 1\r\nContent-Length: %d\r\n\r\n%s", head, len(spaced), spaced))
	case 8:
		ok := say(plain[:half])
		time.Sleep(rand.N(3 * time.Millisecond))
		return ok && say(plain[half:])
	case 9:
		return say(head+"Connection: close\r\n\r\n"+body) && false
	}
	return say(plain)
}
