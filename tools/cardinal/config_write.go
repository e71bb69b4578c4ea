package main

import (
	_ "embed"
	"strconv"
	"strings"
	"text/template"
)

//go:embed cardinal.yaml.tmpl
var configTemplate string

// commented gives the configuration as the file init writes: with what each
// key means, and the defaults of those left out.
func (c Config) commented() ([]byte, error) {
	t, err := template.New("cardinal.yaml").Funcs(template.FuncMap{"quote": strconv.Quote}).Parse(configTemplate)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := t.Execute(&b, c); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}
