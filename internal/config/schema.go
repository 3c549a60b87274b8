package config

import "strings"

// Schema returns the JSON Schema (draft 7) of a configuration file whose keys are nested, for editors and for the
// values of the Helm chart. It holds types, ranges and words; what one key wants of another, only Load knows. Secrets
// are not in it.
func Schema() map[string]any {
	root := map[string]any{}
	sections := map[string]map[string]any{"": root} // their properties
	for i := range keys {
		k := &keys[i]
		if k.secret() {
			continue
		}
		one := schemaOf(k.bind(new(Config)))
		one["description"] = k.helpText()
		if k.def != "" {
			one["description"] = k.helpText() + " (default: " + k.def + ")"
		}
		section, name := parent(k.name)
		propertiesOf(sections, section)[name] = one
	}
	return object(root)
}

// propertiesOf returns those of a section, which it makes where it is not there yet.
func propertiesOf(sections map[string]map[string]any, section string) map[string]any {
	if there, ok := sections[section]; ok {
		return there
	}
	properties := map[string]any{}
	sections[section] = properties
	above, name := parent(section)
	propertiesOf(sections, above)[name] = object(properties)
	return properties
}

// parent divides a name into the section that it is in and the rest.
func parent(name string) (section, last string) {
	dot := strings.LastIndex(name, ".")
	return name[:max(dot, 0)], name[dot+1:]
}

func object(properties map[string]any) map[string]any {
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

// schemaOf says what YAML may stand for a value.
func schemaOf(v value) map[string]any {
	switch v := v.(type) {
	case choice:
		return map[string]any{"enum": v.words}
	case list:
		return map[string]any{"type": []string{"array", "string"}, "items": map[string]any{"type": "string"}}
	case boolean:
		return map[string]any{"type": "boolean"}
	case address:
		return map[string]any{"type": "string", "pattern": "^(off|.*:[0-9]+)?$"}
	case count:
		one := map[string]any{"type": "integer"}
		if v.min != v.max {
			one["minimum"], one["maximum"] = v.min, v.max
		}
		return one
	case ratio:
		one := map[string]any{"type": "number", "exclusiveMinimum": 0}
		if v.most > 0 {
			one["maximum"] = v.most
		}
		return one
	case share:
		return map[string]any{"type": "number", "minimum": 0, "maximum": 1}
	case rate:
		return map[string]any{"type": "number", "minimum": 0}
	case duration:
		return map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`}
	case date:
		return map[string]any{"type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"}
	case size:
		return map[string]any{"type": []string{"string", "integer"}, "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$", "minimum": 0}
	}
	return map[string]any{"type": "string"}
}
