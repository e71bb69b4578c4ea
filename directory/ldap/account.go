package ldap

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// account is whom a bind tries to be. What was not found stays empty, and is
// treated no other way.
type account struct {
	dn      directory.DN
	key     directory.Key
	text    string // as the client wrote it, to count failures by
	root    *suffix
	uuid    directory.UUID
	secrets [][]byte // verifiers of the attribute that was asked for
	state   passwordState
	guarded bool // this process had locked it when state was read
}

func (acc *account) exists() bool { return acc.root != nil || acc.uuid != (directory.UUID{}) }

// lockable: failures lock the identity; else they slow down their source.
func (acc *account) lockable() bool {
	return acc.exists() && acc.root == nil && acc.state.policy.Lockout
}

// look finds the entry of an account with its secrets and the state of its
// password, in one look at the tree.
func (s *Server) look(acc *account, secret string) error {
	acc.state.policy = s.policies[len(s.policies)-1]
	if acc.key == "" {
		return nil
	}
	if acc.root = s.rootNamed(acc.key); acc.root != nil {
		acc.secrets = [][]byte{acc.root.RootPassword}
		return nil
	}
	var err error
	for again := true; again; {
		moved := s.guard.moved.Load()
		err = s.config.Tree.Get(acc.key, func(e *tree.Entry) (err error) {
			acc.uuid = e.UUID()
			acc.state = s.readState(e, acc.key)
			acc.secrets, err = e.Secrets(secret)
			return err
		})
		acc.guarded = err == nil && s.guard.locked(acc.uuid, s.config.Now())
		again = s.guard.moved.Load() != moved // a lock went from the guard to an entry meanwhile
	}
	var missing *tree.NoSuchBase
	if errors.As(err, &missing) {
		return nil
	}
	return err
}

// password binds with a password. It takes as long for a name that does not
// exist, or has no password, or is locked, as for a wrong one, and says the
// same: only the response of the password policy control says more, and only
// to who knows the password.
func (a *attempt) password(acc *account, password []byte) (who Identity, r result) {
	c := a.conn
	s := c.server
	if err := s.look(acc, "userPassword"); err != nil {
		return who, c.resultOf(err)
	}
	if acc.exists() && !a.refuses(acc) {
		for _, v := range acc.secrets {
			if s.remembers(acc.whose(), v, password) {
				return a.conclude(acc, true)
			}
		}
	}
	a.turn.leave()
	if err := a.wait(acc); err != nil {
		return who, c.resultOf(err)
	}
	good, slow := false, false
	for _, v := range acc.secrets {
		fits, err := s.verify(c.ctx, acc.whose(), v, password)
		if err != nil {
			return who, c.resultOf(err)
		}
		good, slow = good || fits, slow || directory.IsSlowVerifier(v)
	}
	if !slow && (!good || a.refuses(acc)) { // as long as a verifier that costs something
		if _, err := s.verify(c.ctx, "", s.nobody, password); err != nil {
			return who, c.resultOf(err)
		}
	}
	return a.conclude(acc, good && acc.exists())
}

// whose is what a remembered bind is remembered by.
func (acc *account) whose() string {
	if acc.root != nil {
		return string(acc.key)
	}
	return string(acc.uuid[:])
}

// wait holds an attempt back whose source has failed at this identity before,
// whatever the identity: who waits learns nothing about it.
func (a *attempt) wait(acc *account) error {
	return a.conn.server.patience(a.conn.ctx, a.pair(acc))
}

func (a *attempt) pair(acc *account) pair {
	name := string(acc.key)
	if name == "" {
		name = acc.text
	}
	return pair{source: sourceOf(a.conn.who.Peer), whom: maphash.String(a.conn.server.guard.seed, name)}
}

func (a *attempt) locked(acc *account) bool {
	if !acc.lockable() {
		return acc.state.forever
	}
	now := a.conn.server.config.Now()
	return acc.guarded || acc.state.lockedAt(now) || a.conn.server.guard.locked(acc.uuid, now)
}

// refuses reports whether the account would be refused with its password.
func (a *attempt) refuses(acc *account) bool {
	return a.locked(acc) || acc.state.expired(a.conn.server.config.Now()) && acc.state.graces >= acc.state.policy.GraceLogins
}

// conclude counts an attempt and makes the identity of one that succeeded.
func (a *attempt) conclude(acc *account, good bool) (who Identity, r result) {
	s := a.conn.server
	now := s.config.Now()
	locked := a.locked(acc)
	s.guard.outcome(a.pair(acc), good && !locked, now)
	switch {
	case !good:
		if acc.lockable() && !locked && s.guard.failed(acc.uuid, acc.state.policy, now) {
			s.config.Logger.Warn("locking an identity", "name", acc.dn.String(), "policy", acc.state.policy.Name)
			s.recordLock(acc, now)
		}
		return who, refuse(directory.InvalidCredentials, "")
	case locked:
		a.said.fail(accountLocked)
		return who, refuse(directory.InvalidCredentials, "")
	}
	if acc.lockable() {
		s.guard.forget(acc.uuid)
	}
	if r := a.aged(acc, now); r.code != directory.Success {
		return who, r
	}
	if !acc.state.locked.IsZero() { // an old lock that has run out
		s.clearLock(acc)
	}
	return a.admit(acc), result{}
}

// admit makes the identity.
func (a *attempt) admit(acc *account) (who Identity) {
	who.DN, who.Key, who.UUID, who.Method = acc.dn, acc.key, acc.uuid, "simple"
	if acc.root != nil {
		who.rootOf = acc.root.key
		return who
	}
	if acc.state.reset && acc.state.policy.MustChange {
		who.mustChange = true
		a.said.fail(changeAfterReset)
	}
	if err := a.conn.server.acquaint(&who); err != nil { // each request asks again, and is nobody's until that succeeds
		who.asOf = math.MaxUint64
	}
	return who
}

// expired: the password is older than its policy allows.
func (p *passwordState) expired(now time.Time) bool {
	return p.policy.MaxAge > 0 && !p.changed.IsZero() && now.After(p.changed.Add(p.policy.MaxAge))
}

// aged refuses a password that has expired, lets it in for the last times, or
// warns that it will (draft §7.1 to §7.3).
func (a *attempt) aged(acc *account, now time.Time) result {
	p := acc.state.policy
	switch {
	case acc.root != nil || p.MaxAge == 0:
		return result{}
	case !acc.state.expired(now):
		left := acc.state.changed.Add(p.MaxAge).Sub(now)
		if p.ExpireWarning > 0 && left <= p.ExpireWarning {
			a.said.expiresIn(left)
		}
		return result{}
	case acc.state.graces >= p.GraceLogins:
		a.said.fail(passwordExpired)
		return refuse(directory.InvalidCredentials, "")
	}
	a.turn.leave()
	if err := a.conn.server.recordGrace(a.conn.ctx, acc, now); err != nil {
		a.conn.server.config.Logger.Error("recording a grace login", "name", acc.dn.String(), "error", err)
		a.said.fail(passwordExpired)
		return refuse(directory.InvalidCredentials, "") // one that does not count would last for ever
	}
	a.said.gracesLeft(p.GraceLogins - acc.state.graces - 1)
	return result{}
}

// recordGrace makes a use of an expired password durable before it is
// allowed; a node that cannot write allows none.
func (s *Server) recordGrace(ctx context.Context, acc *account, now time.Time) error {
	stamp := now.UTC().AppendFormat(nil, "20060102150405.000000Z")
	return s.note(ctx, acc, directory.Modification{Op: directory.ModAdd,
		Attribute: directory.Attribute{Type: "pwdGraceUseTime", Values: [][]byte{stamp}}})
}

// recordLock makes a lock durable, so that it holds on every node and after a
// restart. It does not hold the answer up, and is left out when many are being
// written already: the lock holds in this process anyway.
func (s *Server) recordLock(acc *account, now time.Time) {
	value := directory.FormatTime(now)
	if acc.state.policy.LockoutDuration == 0 {
		value = []byte(lockedForever)
	}
	s.later(acc, directory.Modification{Op: directory.ModReplace,
		Attribute: directory.Attribute{Type: "pwdAccountLockedTime", Values: [][]byte{value}}}, func() { s.guard.handOver(acc.uuid) })
}

// clearLock takes a lock away that has run out.
func (s *Server) clearLock(acc *account) {
	s.later(acc, directory.Modification{Op: directory.ModReplace, Attribute: directory.Attribute{Type: "pwdAccountLockedTime"}}, func() {})
}

var errNoWriter = errors.New("this node does not write")

// later notes on a goroutine of its own.
func (s *Server) later(acc *account, m directory.Modification, then func()) {
	if s.config.Writer == nil {
		return
	}
	select {
	case s.noting <- struct{}{}:
	default:
		s.config.Logger.Warn("too many locks at once: one is kept in this process alone", "name", acc.dn.String())
		return
	}
	of := *acc
	s.done.Go(func() { // the connection that asks is counted as well, so the server is not done yet
		defer func() { <-s.noting }()
		ctx, cancel := context.WithTimeout(context.Background(), s.config.Limits.Wait)
		defer cancel()
		if err := s.note(ctx, &of, m); err != nil {
			s.config.Logger.Warn("noting the state of a password", "name", of.dn.String(), "error", err)
			return
		}
		then()
	})
}

// maxNoting bounds the states that are being written at once.
const maxNoting = 4

// note writes one state of a password in the name of the node, and waits until
// this copy shows it.
func (s *Server) note(ctx context.Context, acc *account, m directory.Modification) error {
	if s.config.Writer == nil {
		return errNoWriter
	}
	who := Identity{State: true}
	who.DN = directory.DN{{{Type: "cn", Value: []byte("password policy")}}}
	position, err := s.config.Writer.Apply(ctx, []Update{{Who: who, Update: directory.Update{
		Kind: directory.UpdateModify, DN: acc.dn, Mods: []directory.Modification{m}}}})
	if err != nil {
		return err
	}
	return s.config.Replica.WaitFor(ctx, position)
}
