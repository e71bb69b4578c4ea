package main

import (
	_ "embed"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

//go:embed cardinal.yaml.tmpl
var configTemplate string

// commented gives the configuration as the file init writes: with what each
// key means, and the defaults of those left out.
func (c Config) commented() ([]byte, error) {
	t, err := template.New("cardinal.yaml").Funcs(template.FuncMap{"quote": strconv.Quote, "nested": nested}).Parse(configTemplate)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := t.Execute(&b, c); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// nested gives a value as YAML, indented to stand below a key of the directory.
func nested(value any) (string, error) {
	text, err := yaml.Marshal(value)
	if err != nil {
		return "", err
	}
	return "    " + strings.ReplaceAll(strings.TrimRight(string(text), "\n"), "\n", "\n    "), nil
}
