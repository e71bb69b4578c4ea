package api

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var described []byte

// Description is the OpenAPI 3.1 description of the API as JSON.
func Description() ([]byte, error) {
	var tree any
	if err := yaml.Unmarshal(described, &tree); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("writing the OpenAPI document: %w", err)
	}
	return data, nil
}
