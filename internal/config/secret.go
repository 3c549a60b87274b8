package config

import (
	"fmt"
	"io"
)

// redacted is what is shown in place of a secret.
const redacted = "[redacted]"

// Secret is a text that shows itself only through Reveal. Printing, logging or encoding it, or anything that holds it,
// gives "[redacted]", or nothing if it is not set.
type Secret struct {
	// A pointer, because fmt cannot call the methods of a Secret inside an unexported field: it prints the fields it finds
	// there, which is then an address and not the text.
	text *string
}

// NewSecret returns a secret; an empty text makes one that is not set.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text; empty if it is not set.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet says whether there is a text.
func (s Secret) IsSet() bool { return s.text != nil }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s.IsSet() {
		return redacted
	}
	return ""
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// Format implements fmt.Formatter, so that no verb gets past String and GoString.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, s.GoString())
		return
	}
	_, _ = io.WriteString(f, s.String())
}

// MarshalText implements encoding.TextMarshaler, which covers YAML and log/slog too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }
