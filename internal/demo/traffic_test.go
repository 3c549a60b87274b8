package demo

import (
	"bytes"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/schemas"
)

// The traffic is what it says it is: what the service may know of each kind decides the answer that the ledger expects.
func TestMix(t *testing.T) {
	m := newMix()
	seen := map[kind]int{}
	for range 5000 {
		now := time.Now()
		q, message := m.next(now, false)
		seen[q.kind]++
		rec := &schemas.Record{Position: requestAt(1), Key: message.Key, Value: message.Value, Headers: message.Headers}
		if back := readRequest(rec); back.id != q.id || back.kind != q.kind || back.contract != q.contract {
			t.Fatalf("%+v reads back as %+v", q, back)
		}
		decoded, err := schemas.DecodeRequest(rec)
		if (err != nil) != (q.kind == malformed) {
			t.Fatalf("%s request %s: %v", q.kind, message.Value, err)
		}
		if err != nil {
			continue
		}
		if decoded.ID != q.id || decoded.ContractID != q.contract {
			t.Fatalf("%+v decodes as %+v", q, decoded)
		}
		if late := !decoded.Deadline.IsZero() && decoded.Deadline.Before(now); late != (q.kind == expired) {
			t.Fatalf("%s request with deadline %v", q.kind, decoded.Deadline)
		}
		if cmssim.Exists(q.contract) == (q.kind == missing) {
			t.Fatalf("%s request about contract %d", q.kind, q.contract)
		}
		found := len(cmssim.Balances(q.contract, decoded.BalanceCodes...))
		if complete := found == len(decoded.BalanceCodes); complete == (q.kind == partial || q.kind == missing) {
			t.Fatalf("%s request finds %d of %v", q.kind, found, decoded.BalanceCodes)
		}
	}
	for _, k := range kinds {
		if seen[k] == 0 {
			t.Errorf("no %s request in 5000", k)
		}
	}
}

func TestMixIsRepeatable(t *testing.T) {
	a, b := newMix(), newMix()
	for range 500 {
		_, first := a.next(noon, false)
		_, second := b.next(noon, false)
		if !bytes.Equal(first.Value, second.Value) || !bytes.Equal(first.Key, second.Key) {
			t.Fatalf("%s and %s", first.Value, second.Value)
		}
	}
	if q, _ := a.next(noon, true); q.kind != good {
		t.Errorf("only good ones were asked for: %s", q.kind)
	}
}
