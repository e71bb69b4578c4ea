package register

import (
	"slices"

	"cardinal/directory"
)

// stateNames are the attributes the directory server keeps of passwords.
var stateNames = []string{"pwdChangedTime", "pwdAccountLockedTime", "pwdGraceUseTime", "pwdReset"}

func (r *Register) isState(name string) bool {
	t := r.schema.Attribute(name)
	return t != nil && slices.Contains(stateNames, t.Name())
}

// onlyState reports whether the modifications touch nothing but state.
func (r *Register) onlyState(mods []directory.Modification) bool {
	return !slices.ContainsFunc(mods, func(m directory.Modification) bool { return !r.isState(m.Attribute.Type) })
}

// partState parts modifications of state, which an author with State may make
// though no client may, from the others.
func (r *Register) partState(by Author, mods []directory.Modification) (others, state []directory.Modification) {
	if !by.State {
		return mods, nil
	}
	for _, m := range mods {
		if r.isState(m.Attribute.Type) {
			state = append(state, m)
		} else {
			others = append(others, m)
		}
	}
	return others, state
}

// permitSecrets refuses clients what the server alone writes, and secrets that
// are none.
func (r *Register) permitSecrets(by Author, mods []directory.Modification) error {
	for _, m := range mods {
		if t := r.schema.Attribute(m.Attribute.Type); t.NoUserModification && !by.State && !by.Issuance {
			return refuse(directory.ConstraintViolation, "%s: no user modification allowed", t.Name())
		}
	}
	return nil
}
