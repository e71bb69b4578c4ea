package ldap

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cardinal/directory"
)

// Bounds of passwords, whatever a policy says.
const (
	maxPassword = 1_000 // characters: hashing more is work for nothing
	maxHistory  = 50
	maxGrace    = 100
)

// passwordNote is what an update knows of passwords.
type passwordNote struct {
	said     policyAnswer
	oldGiven bool // the client gave the old password (RFC 3062)
	own      bool // the update sets the password of the connection's identity
	kept     int  // of the modifications or attributes, how many at the end the server has added
}

// setsPassword reports whether the update touches passwords.
func (u *update) setsPassword() bool {
	t := u.conn.server.schema.Attribute("userPassword")
	return slices.ContainsFunc(u.types(), func(name string) bool { return u.conn.server.schema.Attribute(name) == t })
}

// passwordSet lets the connection go on once its identity has a new password.
func (u *update) passwordSet() {
	if u.own {
		u.conn.mustChange.Store(false)
	}
}

// passwordChange is a new password on its way through its policy.
type passwordChange struct {
	u       *update
	account account
	self    bool // the holder sets it
	old     bool // the old one was shown
	values  []int
}

// setPassword applies the policy to a modification of userPassword and adds
// what the policy keeps: when it was changed, the history, SCRAM's secret. It
// hashes passwords within the bound on that.
func (u *update) setPassword(ctx context.Context) error {
	t := u.conn.server.schema.Attribute("userPassword")
	p := passwordChange{u: u, old: u.oldGiven}
	for i := range u.mods {
		of := u.conn.server.schema.Attribute(u.mods[i].Attribute.Type)
		switch {
		case of != t:
		case u.mods[i].Op == directory.ModDelete:
			p.old = p.old || len(u.mods[i].Attribute.Values) > 0
			fallthrough
		default:
			p.values = append(p.values, i)
		}
	}
	if u.conn.mustChange.Load() && (len(p.values) != len(u.mods) || u.key != u.conn.conn.who.Key) {
		u.said.fail(changeAfterReset)
		return &directory.Error{Code: directory.InsufficientAccessRights, Message: "the password must be changed first"}
	}
	if len(p.values) == 0 {
		return nil
	}
	p.self = u.who.Key == u.key && !u.who.Root
	p.account = account{key: u.key, dn: u.dn}
	if err := u.conn.server.look(&p.account, "userPassword"); err != nil || !p.account.exists() {
		return err // the Writer says what is not there
	}
	u.own = u.key == u.conn.conn.who.Key
	return p.apply(ctx)
}

func (p *passwordChange) apply(ctx context.Context) error {
	if !p.u.who.Root {
		if err := p.permitted(); err != nil {
			return err
		}
	}
	var fresh [][]byte
	for _, i := range p.values {
		if m := &p.u.mods[i]; m.Op != directory.ModDelete {
			fresh = append(fresh, m.Attribute.Values...)
		}
	}
	for _, v := range fresh {
		if err := p.judge(ctx, v); err != nil {
			return err
		}
	}
	if err := p.u.ownState(); err != nil {
		return err
	}
	secrets, err := p.keep(ctx, fresh)
	if err != nil {
		return err
	}
	for _, i := range p.values {
		if m := &p.u.mods[i]; m.Op != directory.ModDelete {
			if m.Attribute.Values, err = p.u.sealed(ctx, m.Attribute.Values); err != nil {
				return err
			}
		}
	}
	p.u.mods, p.u.kept = append(slices.Clone(p.u.mods), secrets...), len(secrets)
	p.u.who.State = true
	return nil
}

// refusal is a code with an error of the control.
func (u *update) refusal(e policyError, code directory.Code, message string) error {
	u.said.fail(e)
	return &directory.Error{Code: code, Message: message}
}

// permitted asks whether the holder may set a password now, and how.
func (p *passwordChange) permitted() error {
	rules, state := p.account.state.policy, &p.account.state
	now := p.u.conn.server.config.Now()
	switch {
	case !p.self:
		return nil
	case rules.NoUserChange:
		return p.u.refusal(passwordModNotAllowed, directory.InsufficientAccessRights, "user alteration of password is not allowed")
	case rules.SafeModify && !p.old && len(p.account.secrets) > 0:
		return p.u.refusal(mustSupplyOldPassword, directory.InsufficientAccessRights, "must supply old password to be changed as well as new one")
	case rules.MinAge > 0 && !state.reset && now.Sub(state.changed) < rules.MinAge:
		return p.u.refusal(passwordTooYoung, directory.ConstraintViolation, "password is too young to change")
	}
	return nil
}

// judge decides whether a password is good enough.
func (p *passwordChange) judge(ctx context.Context, password []byte) error {
	if p.u.who.Root {
		return nil
	}
	if err := p.u.judgeQuality(p.account.state.policy, password); err != nil {
		return err
	}
	return p.unused(ctx, password)
}

// judgeQuality decides by the password alone.
func (u *update) judgeQuality(rules *policy, password []byte) error {
	if directory.IsVerifier(password) {
		if rules.Quality == 2 {
			return u.refusal(insufficientQuality, directory.ConstraintViolation, "a password that is hashed already cannot be judged")
		}
		return nil
	}
	n := utf8.RuneCount(password)
	switch {
	case n < rules.MinLength:
		return u.refusal(passwordTooShort, directory.ConstraintViolation, fmt.Sprintf("password is too short: %d characters are needed", rules.MinLength))
	case n > maxPassword || rules.MaxLength > 0 && n > rules.MaxLength:
		return u.refusal(insufficientQuality, directory.ConstraintViolation, "password is too long")
	case rules.Quality > 0 && n == 0, mixed(password) < rules.Kinds:
		return u.refusal(insufficientQuality, directory.ConstraintViolation,
			fmt.Sprintf("password must mix %d of lower case, upper case, digits and others", rules.Kinds))
	case rules.Quality > 0 && u.holdsName(password):
		return u.refusal(insufficientQuality, directory.ConstraintViolation, "password holds the name of its entry")
	}
	return nil
}

func mixed(password []byte) int {
	var lower, upper, digit, other int
	for _, r := range string(password) {
		switch {
		case unicode.IsLower(r):
			lower = 1
		case unicode.IsUpper(r):
			upper = 1
		case unicode.IsDigit(r):
			digit = 1
		default:
			other = 1
		}
	}
	return lower + upper + digit + other
}

// holdsName reports whether the password contains a value that names the
// entry, of four letters or more.
func (u *update) holdsName(password []byte) bool {
	if len(u.dn) == 0 {
		return false
	}
	low := strings.ToLower(string(password))
	return slices.ContainsFunc(u.dn[0], func(a directory.AVA) bool {
		return len(a.Value) >= 4 && strings.Contains(low, strings.ToLower(string(a.Value)))
	})
}

// unused refuses a password that is the present one or was one of the last.
func (p *passwordChange) unused(ctx context.Context, password []byte) error {
	if p.account.state.policy.InHistory == 0 {
		return nil
	}
	s := p.u.conn.server
	history, err := s.config.Tree.Secrets(p.account.uuid, "pwdHistory")
	if err != nil {
		return err
	}
	past := slices.Clone(p.account.secrets)
	for _, h := range history {
		past = append(past, pastVerifier(h))
	}
	for _, v := range past {
		used := bytes.Equal(v, password)
		if !used && !directory.IsVerifier(password) {
			if used, err = s.verify(ctx, "", v, password); err != nil {
				return err
			}
		}
		if used {
			return p.u.refusal(passwordInHistory, directory.ConstraintViolation, "password is in history of old passwords")
		}
	}
	return nil
}

// historySyntax is the syntax of passwords in pwdHistory (draft §5.3.7).
const historySyntax = "1.3.6.1.4.1.1466.115.121.1.40"

// pastVerifier takes the verifier out of a value of pwdHistory:
// time#syntax#length#value.
func pastVerifier(value []byte) []byte {
	parts := bytes.SplitN(value, []byte("#"), 4)
	if len(parts) != 4 {
		return nil
	}
	return parts[3]
}

// ownState refuses a client that writes state itself in the same request.
func (u *update) ownState() error {
	for i := range u.mods {
		if t := u.conn.server.schema.Attribute(u.mods[i].Attribute.Type); t != nil && t.NoUserModification {
			return &directory.Error{Code: directory.ConstraintViolation, Message: t.Name() + ": no user modification allowed"}
		}
	}
	return nil
}

// sealed hashes passwords, waiting for a place.
func (u *update) sealed(ctx context.Context, values [][]byte) ([][]byte, error) {
	out := make([][]byte, len(values))
	for i, v := range values {
		if directory.IsVerifier(v) {
			out[i] = v
			continue
		}
		if err := u.conn.server.takeHashing(ctx); err != nil {
			return nil, err
		}
		out[i] = directory.HashPassword(v)
		<-u.conn.server.hashing
	}
	return out, nil
}

// keep is what is recorded with new passwords; without any, the last one was
// deleted.
func (p *passwordChange) keep(ctx context.Context, fresh [][]byte) ([]directory.Modification, error) {
	s := p.u.conn.server
	rules := p.account.state.policy
	now := directory.FormatTime(s.config.Now())
	set := func(name string, values ...[]byte) directory.Modification {
		return directory.Modification{Op: directory.ModReplace, Attribute: directory.Attribute{Type: name, Values: values}}
	}
	out := []directory.Modification{set("pwdAccountLockedTime"), set("pwdGraceUseTime")}
	if len(fresh) == 0 {
		out = append(out, set("pwdChangedTime"))
	} else {
		out = append(out, set("pwdChangedTime", now))
	}
	if rules.MustChange && !p.self && len(fresh) > 0 {
		out = append(out, set("pwdReset", []byte("TRUE")))
	} else {
		out = append(out, set("pwdReset"))
	}
	if rules.InHistory > 0 {
		history, err := s.config.Tree.Secrets(p.account.uuid, "pwdHistory")
		if err != nil {
			return nil, err
		}
		for _, v := range p.account.secrets {
			history = append(history, fmt.Appendf(nil, "%s#%s#%d#%s", now, historySyntax, len(v), v))
		}
		slices.SortFunc(history, bytes.Compare) // by time, which stands first
		out = append(out, set("pwdHistory", history[max(0, len(history)-rules.InHistory):]...))
	}
	secret, err := p.u.scramOf(ctx, fresh)
	if secret != nil || s.config.Scram != nil || p.hadScram() {
		out = append(out, set("authPassword", secret...))
	}
	return out, err
}

func (p *passwordChange) hadScram() bool {
	have, err := p.u.conn.server.config.Tree.Secrets(p.account.uuid, "authPassword")
	return err != nil || len(have) > 0
}

// scramOf makes SCRAM's secret of a password that can be seen. Without one the
// secret of the old password goes all the same.
func (u *update) scramOf(ctx context.Context, fresh [][]byte) ([][]byte, error) {
	s := u.conn.server
	if s.config.Scram == nil || len(fresh) != 1 || directory.IsVerifier(fresh[0]) {
		return nil, nil
	}
	if err := s.takeHashing(ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.hashing }()
	secret, ok := s.scramSecret(fresh[0])
	if !ok {
		return nil, nil
	}
	return [][]byte{secret}, nil
}

// setFirstPassword is setPassword for a new entry.
func (u *update) setFirstPassword(ctx context.Context) error {
	view, err := u.conn.server.schema.View(u.entry)
	if err != nil {
		return err
	}
	var fresh [][]byte
	s := u.conn.server
	password := s.schema.Attribute("userPassword")
	rules := s.policyOf(view, u.key, "")
	for i := range u.entry.Attributes {
		a := &u.entry.Attributes[i]
		if s.schema.Attribute(a.Type) != password {
			continue
		}
		for _, v := range a.Values {
			if err := u.judgeQuality(rules, v); err != nil && !u.who.Root {
				return err
			}
		}
		fresh = append(fresh, a.Values...)
		if a.Values, err = u.sealed(ctx, a.Values); err != nil {
			return err
		}
	}
	secret, err := u.scramOf(ctx, fresh)
	if secret != nil && u.entry.Attribute("authPassword") == nil {
		u.entry.Put("authPassword", secret...)
		u.kept = 1
	}
	return err
}
