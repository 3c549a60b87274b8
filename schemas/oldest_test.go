package schemas

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// This is result_decode.go as it was when the contracts became v1, and it is not to be changed: subscribers have
// readers like it for as long as v1 is there, and TestOldestReadsNewest holds that they read what is written today.

func decodeOldestResult(text []byte) (Result, error) {
	r := oldestReader{decoder: openDecoder(text)}
	defer r.close()
	err := r.read()
	if err == nil {
		err = r.end()
	}
	field, ofField := errors.AsType[*oldestError](err)
	switch {
	case ofField:
		return Result{}, fmt.Errorf("decoding result: %w", field)
	case err != nil:
		return Result{}, fmt.Errorf("decoding result: the value %s", explain(err))
	}
	if err := r.check(); err != nil {
		return Result{}, fmt.Errorf("decoding result: %w", err)
	}
	return r.result, nil
}

// oldestReader stops at the first problem: unlike a request, a bad result has no sender to answer to.
type oldestReader struct {
	*decoder
	result Result
	seen   map[string]bool
}

type oldestError struct{ field, problem string }

func (e *oldestError) Error() string { return e.field + ": " + e.problem }

func (r *oldestReader) read() error {
	r.seen = make(map[string]bool, 12)
	return r.object("value", func(name string) (err error) {
		switch out := &r.result; name {
		case "requestId":
			out.RequestID, err = r.string(name)
		case "contractId":
			out.ContractID, err = r.contractID()
		case "outcome":
			out.Outcome, err = r.string(name)
		case "reason":
			var reason string
			reason, err = r.string(name)
			out.Reason = Reason(reason)
		case "balances":
			err = r.array(name, func(i int) error { return r.balance(indexed(name, i)) })
		case "missingBalanceCodes":
			err = r.array(name, func(i int) error {
				code, err := r.string(indexed(name, i))
				out.MissingBalanceCodes = append(out.MissingBalanceCodes, code)
				return err
			})
		case "retrievedAt":
			out.RetrievedAt, err = r.time(name)
		case "correlationId":
			out.CorrelationID, err = r.string(name)
		case "cmsCorrelationId":
			out.CMSCorrelationID, err = r.string(name)
		case "source":
			err = r.source()
		default:
			return r.skip()
		}
		r.seen[name] = true
		return err
	})
}

// check finds out what is missing.
func (r *oldestReader) check() error {
	required := []string{"requestId", "outcome", "balances", "missingBalanceCodes", "retrievedAt", "source"}
	switch r.result.Outcome {
	case OutcomeComplete, OutcomePartial:
		required = append(required, "contractId", "correlationId")
	case OutcomeFailed:
		required = append(required, "reason")
	default:
		if r.seen["outcome"] {
			return &oldestError{"outcome", quote([]byte(r.result.Outcome)) + " is none of complete, partial, failed"}
		}
	}
	for _, name := range required {
		if !r.seen[name] {
			return &oldestError{name, "is missing"}
		}
	}
	if r.result.Outcome != OutcomeFailed && r.seen["reason"] {
		return &oldestError{"reason", "belongs to failed results only"}
	}
	return nil
}

func (r *oldestReader) balance(field string) error {
	var b Balance
	var gotCode, gotID bool
	err := r.object(field, func(name string) (err error) {
		switch name {
		case "balanceCode":
			gotCode = true
			b.Code, err = r.string(field + "." + name)
		case "balanceId":
			gotID = true
			b.ID, err = r.string(field + "." + name)
		case "balanceCurrency":
			b.Currency, err = r.string(field + "." + name)
		case "balanceValue":
			b.Value, err = r.string(field + "." + name)
		default:
			return r.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !gotCode:
		return &oldestError{field + ".balanceCode", "is missing"}
	case !gotID:
		return &oldestError{field + ".balanceId", "is missing"}
	}
	r.result.Balances = append(r.result.Balances, b)
	return nil
}

func (r *oldestReader) source() error {
	p := Position{Partition: -1, Offset: -1}
	err := r.object("source", func(name string) (err error) {
		switch name {
		case "topic":
			p.Topic, err = r.string("source.topic")
		case "partition":
			var n int64
			n, err = r.integer("source.partition", 32)
			p.Partition = int32(n)
		case "offset":
			p.Offset, err = r.integer("source.offset", 64)
		default:
			return r.skip()
		}
		return err
	})
	if err == nil && (p.Topic == "" || p.Partition < 0 || p.Offset < 0) {
		err = &oldestError{"source", "needs a topic, a partition and an offset"}
	}
	r.result.Source = p
	return err
}

func (r *oldestReader) contractID() (int64, error) {
	digits, err := r.string("contractId")
	if err != nil {
		return 0, err
	}
	id, problem := parseContractID([]byte(digits))
	if problem != "" {
		return 0, &oldestError{"contractId", problem}
	}
	return id, nil
}

// expect returns an error if the next value is not of the kind that field has.
func (r *oldestReader) expect(field string, want byte, wantName string) error {
	kind := r.kind()
	if byte(kind) == want {
		return nil
	}
	if err := r.skip(); err != nil {
		return err
	}
	return &oldestError{field, "is " + kindName(kind) + ", not " + wantName}
}

func (r *oldestReader) object(field string, member func(name string) error) error {
	if err := r.expect(field, '{', "an object"); err != nil {
		return err
	}
	return r.members(func(name []byte) error { return member(string(name)) })
}

func (r *oldestReader) array(field string, element func(i int) error) error {
	if err := r.expect(field, '[', "an array"); err != nil {
		return err
	}
	return r.elements(element)
}

func (r *oldestReader) string(field string) (string, error) {
	if err := r.expect(field, '"', "a string"); err != nil {
		return "", err
	}
	text, err := r.scalar()
	return string(text), err
}

func (r *oldestReader) integer(field string, bits int) (int64, error) {
	if err := r.expect(field, '0', "a number"); err != nil {
		return 0, err
	}
	digits, err := r.scalar()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(digits), 10, bits)
	if err != nil || n < 0 {
		return 0, &oldestError{field, quote(digits) + " is not a non-negative integer of " + strconv.Itoa(bits) + " bits"}
	}
	return n, nil
}

func (r *oldestReader) time(field string) (time.Time, error) {
	text, err := r.string(field)
	if err != nil {
		return time.Time{}, err
	}
	t, ok := parseTime([]byte(text))
	if !ok {
		return time.Time{}, &oldestError{field, quote([]byte(text)) + " is not an RFC 3339 time with a zone"}
	}
	return t, nil
}
