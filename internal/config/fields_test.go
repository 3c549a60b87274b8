package config

import (
	"reflect"
	"testing"

	"github.com/balanceq/balanceq/cmsclient"
)

// Every setting of the client is a key, by the rule that its errors are translated with.
func TestFieldsAreKeys(t *testing.T) {
	var walk func(typ reflect.Type, prefix string)
	walk = func(typ reflect.Type, prefix string) {
		for f := range typ.Fields() {
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type, prefix+f.Name+".")
				continue
			}
			if name := keyOf(prefix + f.Name); lookup(name) == nil {
				t.Errorf("%s%s: there is no key %s", prefix, f.Name, name)
			}
		}
	}
	walk(reflect.TypeFor[cmsclient.Settings](), "")
	for field, names := range behindFields {
		for _, name := range names {
			if lookup(name) == nil {
				t.Errorf("%s: there is no key %s", field, name)
			}
		}
	}
}

// What the library finds wrong is told by keys, not by its own names.
func TestLibraryProblemsSayKeys(t *testing.T) {
	c := Default()
	c.CMS.Breaker.MaxOpenTime = c.CMS.Breaker.OpenTime / 2
	const want = "cms.breaker.open-time: 1s is above cms.breaker.max-open-time (500ms); lower it or raise the other"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
