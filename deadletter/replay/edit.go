package replay

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/schemas"
)

// Edit replaces the request that is put back. It fails with what is wrong about it if it is not valid. A key that is
// the contract's id follows the contract, and with it the partition.
func (a *Candidate) Edit(value []byte) error {
	was, _ := a.Letter.Request() // often what is to be fixed
	edited := a.Letter.Original()
	edited.Value = value
	now, err := schemas.DecodeRequest(edited)
	if err != nil {
		return err
	}
	if now.ID == deadletter.NoPosition.String() {
		now.ID = was.ID
	}
	if was.ContractID != now.ContractID && bytes.Equal(a.Letter.Key, strconv.AppendInt(nil, was.ContractID, 10)) {
		a.Message.Key = strconv.AppendInt(nil, now.ContractID, 10)
		a.rekeyed = true
	}
	a.Message.Value = value
	a.Changes = changes(&was, &now)
	return nil
}

// changes names at least one field: the whole value, where no known member differs.
func changes(was, now *schemas.Request) (all []ledger.Change) {
	note := func(field, from, to string) {
		if from != to {
			all = append(all, ledger.Change{Field: field, From: from, To: to})
		}
	}
	note("contractId", contractText(was.ContractID), contractText(now.ContractID))
	if !slices.Equal(was.BalanceCodes, now.BalanceCodes) {
		note("balanceCodes", strings.Join(was.BalanceCodes, ","), strings.Join(now.BalanceCodes, ","))
	}
	note("requestId", was.ID, now.ID)
	note("deadline", deadlineText(was.Deadline), deadlineText(now.Deadline))
	if len(all) == 0 {
		all = []ledger.Change{{Field: "value"}}
	}
	return all
}

func contractText(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

func deadlineText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
