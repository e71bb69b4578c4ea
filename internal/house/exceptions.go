package house

import "slices"

// An exception lets one finding stand: the rule, the file, and the name when
// the file has several.
type exception struct {
	rule, file, name string
	reason           string
}

// exceptions are few, each with its reason. One that no longer catches
// anything is a finding itself.
func exceptions() []exception {
	return []exception{
		{rule: "parameters", file: "tools/cardinal/run.go", name: "run", reason: "a process is its context, its arguments and three streams; tests give all five"},
	}
}

// except takes out what the exceptions allow and adds the exceptions that
// allow nothing.
func except(found []Finding, allowed []exception) []Finding {
	used := make([]bool, len(allowed))
	found = slices.DeleteFunc(found, func(f Finding) bool {
		for i, e := range allowed {
			if e.rule == f.Rule && e.file == f.File && (e.name == "" || e.name == f.Name) {
				used[i] = true
				return true
			}
		}
		return false
	})
	for i, e := range allowed {
		if !used[i] {
			found = append(found, Finding{Rule: "exception", File: e.file, Name: e.name, Text: "the exception to " + e.rule + " is no longer needed"})
		}
	}
	return found
}
