package kafkawire

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// SettingError says that a setting of the connections cannot be used. It comes in parts, for callers who know the
// setting by another name.
type SettingError struct {
	Field string // "SASL"
	What  string // "the mechanism is not known"
	Fix   string
	Err   error // why; nil: What says all
}

// Error returns one line.
func (e *SettingError) Error() string { return e.Field + ": " + e.Problem() + "; " + e.Fix }

// Problem is what is wrong and why, without the field and the fix.
func (e *SettingError) Problem() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns why.
func (e *SettingError) Unwrap() error { return e.Err }

// Login is how a connection says who it is. It is asked for each connection, and again before a login ends.
type Login = sasl.Mechanism

// SASL returns the mechanism of that name: plain, scram-sha-256, scram-sha-512; nil for none. It asks for the password
// for each connection. Its errors are *SettingError.
func SASL(mechanism, user string, password func() string) (sasl.Mechanism, error) {
	login := passwordLogin{user: user, password: password}
	switch mechanism {
	case "", "none":
		return nil, nil
	case "plain":
		login.mechanism = func(user, password string) (sasl.Mechanism, error) {
			return plain.Mechanism{Username: user, Password: password}, nil
		}
	case "scram-sha-256":
		login.mechanism = scrams(scram.SHA256)
	case "scram-sha-512":
		login.mechanism = scrams(scram.SHA512)
	default:
		return nil, &SettingError{Field: "SASL", What: fmt.Sprintf("the mechanism %q is not known", mechanism),
			Fix: "set none, plain, scram-sha-256, scram-sha-512 or oauthbearer"}
	}
	now, err := login.now()
	if err != nil {
		return nil, &SettingError{Field: "SASL", What: "the login cannot be prepared", Err: err,
			Fix: "check user and password"}
	}
	login.name = now.Name()
	return login, nil
}

func scrams(by scram.Algorithm) func(user, password string) (sasl.Mechanism, error) {
	return func(user, password string) (sasl.Mechanism, error) { return scram.Mechanism(by, user, password) }
}

// passwordLogin logs in by the password as it is then.
type passwordLogin struct {
	name      string
	user      string
	password  func() string
	mechanism func(user, password string) (sasl.Mechanism, error)
}

func (l passwordLogin) now() (sasl.Mechanism, error) {
	return l.mechanism(l.user, l.password())
}

// Name implements sasl.Mechanism.
func (l passwordLogin) Name() string { return l.name }

// Start implements sasl.Mechanism.
func (l passwordLogin) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	m, err := l.now()
	if err != nil {
		return nil, nil, err
	}
	return m.Start(ctx)
}
