package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
)

// OAuthBearer logs in by a token (OAUTHBEARER: RFC 7628, KIP-255).
type OAuthBearer struct {
	// Token returns the token of the next login. It is asked for each connection, and again before a login ends.
	Token func(context.Context) (string, error)
	// Extensions go with it (KIP-342), such as logicalCluster of Confluent Cloud. Keys are letters.
	Extensions map[string]string
}

// Name implements sasl.Mechanism.
func (m *OAuthBearer) Name() string { return "OAUTHBEARER" }

// Start implements sasl.Mechanism.
func (m *OAuthBearer) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	token, err := m.Token(ctx)
	if err != nil {
		return nil, nil, err
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) { // would end it, and begin others
		return nil, nil, errors.New("the token has characters that no token has (RFC 6750, section 2.1)")
	}
	var b strings.Builder
	b.WriteString("n,,\x01auth=Bearer " + token + "\x01")
	for _, key := range slices.Sorted(maps.Keys(m.Extensions)) {
		fmt.Fprintf(&b, "%s=%s\x01", key, m.Extensions[key])
	}
	b.WriteByte(1)
	return oauthBearerSession{}, []byte(b.String()), nil
}

type oauthBearerSession struct{}

// Next implements sasl.StateMachine. A broker that refuses says why in JSON, and its error comes only in answer to a
// single byte 1 (RFC 7628, section 3.2.3).
func (oauthBearerSession) Next(_ context.Context, challenge []byte) (done bool, response []byte, err error) {
	if len(challenge) == 0 {
		return true, nil, nil
	}
	return false, []byte{1}, nil
}
