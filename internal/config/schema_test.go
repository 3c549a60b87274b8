package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource("urn:config", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("urn:config")
}

// A file as the program writes it is valid by the schema: every key at its default, and every key at its example.
func TestSchemaTakesWhatThereIs(t *testing.T) {
	schema := compiledSchema(t)
	var examples Config
	for i := range keys {
		if k := &keys[i]; !k.secret() {
			if err := k.bind(&examples).set(k.example); err != nil {
				t.Fatal(k.name, err)
			}
		}
	}
	var b strings.Builder
	nothing := func(*key) (above, beside string) { return "", "" }
	if err := writeYAML(&b, &examples, nothing); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"defaults": Example(), "examples": b.String()} {
		var file any
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatal(err)
		}
		plain, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(plain)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	schema := compiledSchema(t)
	for _, text := range []string{
		`{"kafka":{"borkers":"x"}}`, `{"kafka":{"sasl":{"password":"x"}}}`, `{"kafka.group":"x"}`, `{"kafka":1}`,
		`{"kafka":{"group":7}}`, `{"kafka":{"brokers":[7]}}`, `{"delivery":"twice"}`, `{"cms":{"timeout":5}}`,
		`{"cms":{"timeout":"5"}}`, `{"cms":{"adaptive":"yes"}}`, `{"cms":{"rate":-1}}`,
		`{"cms":{"max-response-bytes":"1MB"}}`,
		`{"cms":{"auth":{"key-expires":"tomorrow"}}}`, `{"consumer":{"run-ahead":0}}`, `{"consumer":{"run-ahead":1.5}}`,
		`{"deadletters":{"budget":0}}`, `{"telemetry":{"traces":{"ratio":2}}}`, `{"http":{"admin":false}}`,
		`{"http":{"admin":"8081"}}`,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(doc) == nil {
			t.Errorf("%s is valid", text)
		}
	}
}
