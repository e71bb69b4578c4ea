package api_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"cardinal/issuance/api"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	data, err := api.Description()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsValidOpenAPI31(t *testing.T) {
	t.Parallel()
	doc := loadDocument(t)
	if !doc.IsOpenAPI31OrLater() {
		t.Fatalf("document is OpenAPI %s", doc.OpenAPI)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestDocumentRoutesAndClientAreTheSameSet(t *testing.T) {
	t.Parallel()
	described := map[string]bool{}
	for path, item := range loadDocument(t).Paths.Map() {
		for method, op := range item.Operations() {
			described[strings.Join([]string{op.OperationID, method, path}, " ")] = op.RequestBody != nil
		}
	}
	routed := map[string]bool{}
	client := reflect.TypeFor[*api.Client]()
	for _, r := range api.Routes() {
		routed[strings.Join([]string{r.Name, r.Method, r.Path}, " ")] = r.Body
		if _, ok := client.MethodByName(r.Name); !ok {
			t.Errorf("the client has no method %s", r.Name)
		}
	}
	if !maps.Equal(described, routed) {
		t.Errorf("described %v\nrouted %v", slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(routed)))
	}
	if got, want := client.NumMethod(), len(routed)+1; got != want { // and Close
		t.Errorf("the client has %d methods, want one a route and Close: %d", got, want)
	}
}
