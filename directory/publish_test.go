package directory_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"cardinal/directory"
)

// TestPublishedSchemaLoadsAgain reads the published definitions back as a
// schema file and demands the same definitions.
func TestPublishedSchemaLoadsAgain(t *testing.T) {
	t.Parallel()
	first, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	published := first.Published()
	var text strings.Builder
	for _, a := range published {
		keyword := map[string]string{"attributeTypes": "attributetype", "objectClasses": "objectclass"}[a.Type]
		for _, v := range a.Values {
			if keyword != "" {
				fmt.Fprintf(&text, "%s %s\n\n", keyword, v)
			}
		}
	}
	second, err := directory.LoadSchema(fstest.MapFS{"all.schema": {Data: []byte(text.String())}})
	if err != nil {
		t.Fatal(err)
	}
	again := second.Published()
	for i := range published {
		if len(published[i].Values) != len(again[i].Values) || len(published[i].Values) == 0 {
			t.Fatalf("%s: %d and %d definitions", published[i].Type, len(published[i].Values), len(again[i].Values))
		}
	}
	for _, want := range []string{"( 2.5.4.3 NAME ( 'cn' 'commonName' )", "( 1.2.826.0.1285.0.2.0.65 NAME 'nhsPerson'"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s is not published", want)
		}
	}
}
