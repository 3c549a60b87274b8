package telemetry

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/processor"
)

// What an instance is like, for programs; nothing of a request is in it.
func TestStatus(t *testing.T) {
	expires := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	f := outage()
	f.consumer.Member, f.consumer.Partitions[0].Open = "balanceq-1", 2
	f.consumer.Partitions[0].Moved = time.Now().Add(-time.Minute)
	f.consumer.Partitions[0].OldestAt = time.Now().Add(-time.Hour)
	f.cms = cmsclient.Status{Breaker: cmsclient.BreakerOpen, Cause: cmsclient.CauseBreaker, InFlight: 1, Limit: 8,
		Queued: 5}
	f.budget = processor.BudgetStatus{Share: .25, Held: 2}
	f.keys = []Key{{Name: "signing", Expires: expires}, {Name: "decryption", Failing: errors.New("no key")}}
	_, _, get := serve(t, f)
	code, body := get("/status")
	var got Status
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 {
		t.Fatalf("%d %v in %s", code, err, body)
	}
	if len(got.Held) != 2 || got.Held[0].LagSeconds < 3600 || got.Held[0].StalledSeconds < 60 {
		t.Fatalf("%s", body)
	}
	if up := time.Since(got.Started); up < time.Hour || up > 2*time.Hour {
		t.Errorf("started %v", got.Started)
	}
	got.Held[0].LagSeconds, got.Held[0].StalledSeconds, got.Started, got.Health = 0, 0, time.Time{}, Health{}
	want := Status{Instance: "i", Version: "v1", Group: "g", Topic: "requests", Member: "balanceq-1",
		Held:  []Held{{Partition: 0, Lag: 4, Open: 2}, {Partition: 3}},
		Calls: Calls{InFlight: 1, Limit: 8, Waiting: 5}, DeadLetters: DeadLetters{Ratio: .25, Budget: .5, Held: 2},
		Keys: []KeyExpires{{Name: "signing", Expires: &expires}, {Name: "decryption", Failing: "no key"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if strings.Contains(body, "70001") {
		t.Errorf("it names a contract: %s", body)
	}
}

// Its health is that of /readyz, and its lists are there when they are empty.
func TestStatusHealth(t *testing.T) {
	_, _, get := serve(t, &fakes{consumer: consumer.Status{Joined: true}})
	_, readyz := get("/readyz")
	_, body := get("/status")
	for _, want := range []string{`"health":` + strings.TrimSpace(readyz), `"held":[]`, `"keys":[]`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}
