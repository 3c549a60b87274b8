package cli

import (
	"bytes"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/schemas"
)

// libraries passes on what libraries write to the standard log, up to the first quote: net/http quotes there what a
// server sent without having been asked, which may be what we had sent to it.
type libraries struct{ log zerolog.Logger }

// Write implements io.Writer.
func (l libraries) Write(text []byte) (int, error) {
	said, _, _ := bytes.Cut(text, []byte(`"`))
	l.log.Warn().Str("event", "library_warning").Bytes("said", bytes.TrimSpace(said)).Msg("a library complains")
	return len(text), nil
}

// exports passes on what keeps telemetry from being sent.
type exports struct{ log zerolog.Logger }

// Handle implements otel.ErrorHandler.
func (e exports) Handle(err error) {
	e.log.Warn().Str("event", "export_failing").Str("error", schemas.Mask(err.Error())).
		Msg("telemetry cannot be sent by OTLP; requests are answered all the same")
}
