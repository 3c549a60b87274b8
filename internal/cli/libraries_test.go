package cli

import (
	"bytes"
	"log"
	"testing"

	"github.com/rs/zerolog"
)

func TestLibrariesQuoteNothing(t *testing.T) {
	for given, want := range map[string]string{
		`Unsolicited response received on idle HTTP channel starting with "oauth_consumer_key=x \"y\""; err=<nil>`: `{"level":"warn","event":"library_warning",` +
			`"said":"Unsolicited response received on idle HTTP channel starting with","message":"a library complains"}` + "\n",
		"http: panic serving 127.0.0.1:1: no": `{"level":"warn","event":"library_warning","said":"http: panic serving 127.0.0.1:1: no","message":"a library complains"}` + "\n",
	} {
		var out bytes.Buffer
		log.New(libraries{zerolog.New(&out)}, "", 0).Print(given)
		if out.String() != want {
			t.Errorf("got  %swant %s", out.String(), want)
		}
	}
}
