package config

import (
	"strings"
	"testing"
)

func TestRegistry(t *testing.T) {
	const url = "BALANCEQ_REQUESTS_REGISTRY_URL=https://registry.example.com/apis/ccompat/v7"
	for name, test := range map[string]struct {
		environ []string
		want    string // in the error, or in a warning; "": neither
	}{
		"none":     {nil, ""},
		"requests": {[]string{url}, ""},
		"a user":   {[]string{url, "BALANCEQ_SCHEMA_REGISTRY_USERNAME=u", "BALANCEQ_SCHEMA_REGISTRY_PASSWORD=p"}, ""},
		"a token":  {[]string{url, "BALANCEQ_SCHEMA_REGISTRY_TOKEN_FILE=t"}, ""},
		"no password": {[]string{url, "BALANCEQ_SCHEMA_REGISTRY_USERNAME=u"},
			"schema-registry.username: needs a password; set BALANCEQ_SCHEMA_REGISTRY_PASSWORD or " +
				"schema-registry.password-file"},
		"no user": {[]string{url, "BALANCEQ_SCHEMA_REGISTRY_PASSWORD=p"},
			"schema-registry.username: the password's user is missing; set schema-registry.username"},
		"several addresses": {[]string{"BALANCEQ_REQUESTS_REGISTRY_URL=https://a:8081, https://b:8081"}, ""},
		"the same one twice": {[]string{"BALANCEQ_REQUESTS_REGISTRY_URL=https://a,https://b,https://a"},
			"requests.registry.url: address 3 is there twice; remove one of them"},
		"a password in one of them": {[]string{"BALANCEQ_RESULTS_REGISTRY_URL=https://a,https://u:hunter2@b"},
			"results.registry.url: address 2 contains a user or password; remove it"},
		"a certificate": {[]string{url, "BALANCEQ_SCHEMA_REGISTRY_CERT_FILE=c", "BALANCEQ_SCHEMA_REGISTRY_KEY_FILE=k",
			"BALANCEQ_SCHEMA_REGISTRY_TOKEN_FILE=t"}, ""},
		"a certificate's key is missing": {[]string{url, "BALANCEQ_SCHEMA_REGISTRY_CERT_FILE=c"},
			"schema-registry.cert-file: the certificate's key is missing; set schema-registry.key-file too"},
		"a key's certificate is missing": {[]string{url, "BALANCEQ_SCHEMA_REGISTRY_KEY_FILE=k"},
			"schema-registry.key-file: the key's certificate is missing; set schema-registry.cert-file too"},
		"both": {[]string{url, "BALANCEQ_SCHEMA_REGISTRY_TOKEN_FILE=t", "BALANCEQ_SCHEMA_REGISTRY_USERNAME=u"},
			"schema-registry.token-file: is given, and so is a user or password; unset one of them"},
		"a password in the address": {[]string{"BALANCEQ_RESULTS_REGISTRY_URL=https://u:hunter2@registry"},
			"results.registry.url: contains a user or password; remove it"},
		"no address": {[]string{"BALANCEQ_RESULTS_REGISTRY_URL=hunter2:8081"},
			"results.registry.url: is no http or https URL; write it as https://host/path"},
		"unencrypted": {[]string{"BALANCEQ_RESULTS_REGISTRY_URL=http://registry:8081",
			"BALANCEQ_SCHEMA_REGISTRY_TOKEN_FILE=t"},
			"results.registry.url: over http anybody on the way can read the password or token; use https"},
		"unencrypted, one of two": {[]string{"BALANCEQ_REQUESTS_REGISTRY_URL=https://registry:8081,http://registry:8082",
			"BALANCEQ_SCHEMA_REGISTRY_TOKEN_FILE=t"}, "requests.registry.url: over http anybody on the way can read"},
		"a certificate for none": {[]string{"BALANCEQ_SCHEMA_REGISTRY_CERT_FILE=c"},
			"no schema registry is asked, so its login has no effect"},
		"a login for none": {[]string{"BALANCEQ_SCHEMA_REGISTRY_TOKEN_FILE=t"},
			"no schema registry is asked, so its login has no effect"},
		"a subject for none": {[]string{"BALANCEQ_REQUESTS_REGISTRY_SUBJECTS=s"},
			"requests.registry.subjects: has no effect without requests.registry.url"},
		"registered nowhere": {[]string{"BALANCEQ_RESULTS_REGISTRY_AUTO_REGISTER=true"},
			"results.registry.auto-register: has no effect without results.registry.url"},
	} {
		t.Run(name, func(t *testing.T) {
			loaded, err := Load(nil, append(test.environ, "BALANCEQ_CMS_URL=https://cms.example.com"))
			var said []string
			if err != nil {
				said = append(said, err.Error())
			} else {
				for _, w := range loaded.Warnings {
					said = append(said, w.String())
				}
			}
			text := strings.Join(said, "\n")
			if (text == "") != (test.want == "") || !strings.Contains(text, test.want) || strings.Contains(text, "hunter2") {
				t.Errorf("got %q, want %q", text, test.want)
			}
		})
	}
	c := Default()
	if c.ResultSubject() != "balance.results-value" || strings.Join(c.RequestSubjects(), ",") != "balance.requests-value" {
		t.Errorf("subjects: %s, %s", c.ResultSubject(), c.RequestSubjects())
	}
}
