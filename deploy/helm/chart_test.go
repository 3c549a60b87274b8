// Package helm holds tests only: of the chart, and of the manifests that are rendered from it.
package helm

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/balanceq/balanceq/internal/cli"
	"github.com/balanceq/balanceq/internal/config"
)

var update = flag.Bool("update", false, "write what the chart has from elsewhere")

const (
	chart     = "balanceq"
	manifests = "../kubernetes"
)

// What may stand below config in the values is what there is in the configuration.
func TestSchemaOfTheConfiguration(t *testing.T) {
	const path = chart + "/values.schema.json"
	own, _, found := strings.Cut(read(t, path), `"config": `)
	if !found {
		t.Fatal(path + " has no config")
	}
	var section bytes.Buffer
	encoder := json.NewEncoder(&section)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("    ", "  ")
	if err := encoder.Encode(config.Schema()); err != nil {
		t.Fatal(err)
	}
	same(t, path, own+`"config": `+section.String()+"  }\n}\n")
	if err := json.Unmarshal([]byte(read(t, path)), new(any)); err != nil {
		t.Error(path, err)
	}
}

// A chart cannot reach files beside it, so it has copies.
func TestFilesFromElsewhere(t *testing.T) {
	for copied, from := range map[string]string{
		"alerts.yaml": "../prometheus/alerts.yaml", "slo.yaml": "../prometheus/slo.yaml",
		"dashboard.json": "../grafana/balanceq.json",
	} {
		same(t, filepath.Join(chart, "files", copied), read(t, from))
	}
}

// Of a configuration, the schema checks the parts; the program says whether it could run with it.
func TestValues(t *testing.T) {
	for _, path := range append(valueFiles(t), manifests+"/values.yaml") {
		checkValues(t, path, read(t, path))
	}
	const page = "../../docs/kubernetes.md"
	examples := regexp.MustCompile("(?s)<!-- values -->\n```yaml\n(.*?)```").FindAllStringSubmatch(read(t, page), -1)
	if len(examples) == 0 {
		t.Errorf("%s: no example is marked as values", page)
	}
	for _, example := range examples {
		checkValues(t, page, example[1])
	}
}

func checkValues(t *testing.T, name, text string) {
	t.Helper()
	var values struct {
		Config yaml.Node `yaml:"config"`
	}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(name, err)
	}
	section, err := yaml.Marshal(&values.Config)
	if err != nil {
		t.Fatal(err)
	}
	check(t, name, string(section))
}

func TestManifestsAreConfigurations(t *testing.T) {
	configurations(t, manifests, read(t, manifests+"/balanceq.yaml"))
}

// configurations runs config check on those among rendered manifests.
func configurations(t *testing.T, name, rendered string) {
	t.Helper()
	found := false
	for _, one := range objects(t, rendered) {
		if text, ok := one.StringData["balanceq.yaml"]; ok {
			found = true
			check(t, name, text)
		}
	}
	if !found {
		t.Errorf("%s: holds no configuration", name)
	}
}

// object is what the tests look at of a manifest.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	} `yaml:"metadata"`
	StringData map[string]string `yaml:"stringData"`
	Spec       map[string]any    `yaml:"spec"`
}

func objects(t *testing.T, rendered string) (all []object) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(rendered)); ; {
		var one object
		switch err := decoder.Decode(&one); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("%v in\n%s", err, rendered)
		case one.Kind != "":
			all = append(all, one)
		}
	}
}

// mounted is a file of a Secret, or a token, as configurations name them.
var mounted = regexp.MustCompile(`(?:/var)?/run/secrets/[\w/.-]+`)

// check has the program look at a configuration as config check does, with files where it names some.
func check(t *testing.T, name, text string) {
	t.Helper()
	dir := t.TempDir()
	text = mounted.ReplaceAllStringFunc(text, func(path string) string {
		path = filepath.Join(dir, filepath.Base(path))
		write(t, path, contents(path))
		return path
	})
	path := filepath.Join(dir, "balanceq.yaml")
	write(t, path, text)
	var out, errOut strings.Builder
	if code := cli.Execute(t.Context(), []string{"config", "check", "--config", path}, nil, &out, &errOut); code != 0 {
		t.Errorf("%s: config check ends with %d:\n%s\n%s", name, code, errOut.String(), text)
	}
}

// contents is what a file of that name holds. The program reads keys and certificates whatever their names are.
func contents(path string) string {
	switch name := filepath.Base(path); {
	case strings.HasSuffix(name, ".p12") || strings.HasSuffix(name, "-key.pem"):
		return pair().key
	case strings.HasSuffix(name, ".pem"):
		return pair().certificate
	}
	return strings.Repeat("secret!!", 6) + "!" + strings.Repeat("secret!!", 6) // as long as a consumer key
}

// pair is a key and a certificate of it, in PEM.
var pair = sync.OnceValue(func() (made struct{ key, certificate string }) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0),
		DNSNames: []string{"balanceq"}}
	certificate, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	made.key = string(pem.EncodeToMemory(
		&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	made.certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	return made
})

// valueFiles are those that the chart is tried with.
func valueFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(chart + "/ci/*-values.yaml")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%d files with values (%v)", len(paths), err)
	}
	return paths
}

// same says that a file holds what it should; with -update it writes it.
func same(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		write(t, path, want)
	}
	if read(t, path) != want {
		t.Errorf("%s is out of date: make docs, make manifests", path)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
