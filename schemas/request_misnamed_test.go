package schemas

import (
	"strings"
	"testing"
)

// A name that is nearly right is named beside the right one; one that is not is left alone.
func TestMisnamedMembers(t *testing.T) {
	const noID, noCodes = `contractId: is missing; send ` + wantContractID, `balanceCodes: is missing; send ` + wantCodes
	id := func(name string) string { return noID + ` (it has ` + name + `: did you mean contractId?)` }
	codes := func(name string) string { return noCodes + ` (it has ` + name + `: did you mean balanceCodes?)` }
	tests := map[string]struct{ value, want string }{
		"snake case":       {`{"contract_id":1,"balanceCodes":["A"]}`, id(`"contract_id"`)},
		"initials":         {`{"contractID":1,"balanceCodes":["A"]}`, id(`"contractID"`)},
		"Pascal":           {`{"ContractId":1,"balanceCodes":["A"]}`, id(`"ContractId"`)},
		"behind the codes": {`{"balanceCodes":["A"],"contract-id":1}`, id(`"contract-id"`)},
		"a letter short":   {`{"contratId":1}`, id(`"contratId"`)},
		"two swapped":      {`{"conrtactId":1}`, id(`"conrtactId"`)},
		"without id":       {`{"contract":1}`, id(`"contract"`)},
		"the nearest":      {`{"contract":1,"contract_id":1,"contractIds":1}`, id(`"contract_id"`)},
		"not far enough":   {`{"contractAidno":1,"contractual":1,"id":1,"contractIdentity":1}`, noID},
		"no ASCII":         {`{"cöntractId":1}`, id(`"cöntractId"`)},
		"a control":        {`{"contractId\u001b":1}`, id(`"contractId\x1b"`)},
		"a long name":      {`{"contractId` + strings.Repeat(" ", 30) + `":1}`, noID},

		"snake case codes": {`{"contractId":1,"balance_codes":["A"]}`, codes(`"balance_codes"`)},
		"one code":         {`{"contractId":1,"balanceCode":"A"}`, codes(`"balanceCode"`)},
		"codes":            {`{"contractId":1,"codes":["A"]}`, codes(`"codes"`)},
		"before the id":    {`{"Codes":["A"],"contractId":1}`, codes(`"Codes"`)},
		"upper case":       {`{"contractId":1,"BALANCE_CODES":["A"]}`, codes(`"BALANCE_CODES"`)},
		"a card number":    {`{"contractId":1,"4111111111111111":["A"]}`, noCodes},
		"other names":      {`{"contractId":1,"balances":["A"],"currencyCodes":["A"]}`, noCodes},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeRequest(record(test.value))
			wantRequestError(t, err, test.want)
			checkRefusal(t, err)
			if !strings.HasPrefix(test.value, `{"contractId":1`) {
				return
			}
			event := record(`{"specversion":"1.0","data":`+test.value+`}`, HeaderContentType, structured)
			_, err = DecodeRequest(event)
			wantRequestError(t, err, test.want)
		})
	}
}

// An event in structured mode whose record does not say so is named, and its id is found.
func TestEnvelopeWithoutContentType(t *testing.T) {
	const want = `value: looks like a CloudEvent in structured mode: ` +
		`set the header content-type: application/cloudevents+json`
	envelope := `{"specversion":"1.0","id":"event-1","data":` + plain + `}`
	tests := map[string]struct {
		rec      *Record
		want, id string
	}{
		"no headers":      {record(envelope), want, "event-1"},
		"plain JSON":      {record(envelope, HeaderContentType, "application/json"), want, "event-1"},
		"data first":      {record(`{"data":` + plain + `,"specversion":"1.0","id":"event-1"}`), want, "event-1"},
		"as of base64":    {record(`{"specversion":"1.0","id":"event-1","data_base64":"e30="}`), want, "event-1"},
		"of broken data":  {record(`{"specversion":"1.0","id":"event-1","data_base64":"ew=="}`), want, "event-1"},
		"of null data":    {record(`{"specversion":"1.0","id":"event-1","data":null}`), want, "event-1"},
		"its request id":  {record(`{"specversion":"1.0","id":"event-1","data":{"requestId":"r-1"}}`), want, "r-1"},
		"of a binary one": {record(envelope, HeaderEventSpecVersion, "1.0", HeaderEventID, "outer"), want, "event-1"},
		"no data": {record(`{"specversion":"1.0","id":"event-1"}`),
			`contractId: is missing; send ` + wantContractID, position.String()},
		"no version": {record(`{"id":"event-1","data":` + plain + `}`),
			`contractId: is missing; send ` + wantContractID, position.String()},
		"half a request": {record(`{"contractId":1,"specversion":"1.0","data":1}`),
			`balanceCodes: is missing; send ` + wantCodes, position.String()},
		"broken behind it": {record(envelope + `}`),
			`value: is not valid JSON at byte 95: invalid character '}' at start of value`,
			position.String()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeRequest(test.rec)
			wantRequestError(t, err, test.want)
			if got.ID != test.id {
				t.Errorf("id %q, want %q", got.ID, test.id)
			}
		})
	}

	got, err := DecodeRequest(record(`{"specversion":"1.0","data":{},` + plain[1:]))
	if err != nil || got.ContractID != 70001 {
		t.Errorf("a plain request with members of such names: %+v, %v", got, err)
	}
}

// Members that a request does not have cost nothing, wherever they stand.
func TestUnknownMembersDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop things at random")
	}
	allocations := func(value string) float64 {
		rec := record(value)
		return testing.AllocsPerRun(1000, func() { _, _ = DecodeRequest(rec) })
	}
	few := allocations(plain)
	if more := allocations(`{"customerId":2,"balanceDates":3,"specversion":"1.0",` + plain[1:]); more != few {
		t.Errorf("%v allocations, %v without them", more, few)
	}
}
