package main

import (
	"strings"
	"testing"
)

func TestPeopleAreAlwaysManaged(t *testing.T) {
	t.Parallel()
	for managed, fine := range map[string]bool{
		"":                                 true,
		"ou=people, O=NHS":                 true,
		"o=nhs":                            true,
		"ou=Workgroups,o=nhs":              false,
		"uid=555000000000,ou=People,o=nhs": false,
	} {
		var c Config
		if managed != "" {
			c.Directory.Managed = []string{managed}
		}
		_, err := loadDirectory(folder(t.TempDir()), c.withDefaults())
		if fine != (err == nil) || err != nil && !strings.Contains(err.Error(), "directory.managed") {
			t.Errorf("managed %q: %v", managed, err)
		}
	}
}
