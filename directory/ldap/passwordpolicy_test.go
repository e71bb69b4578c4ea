package ldap_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// staff are people outside managed subtrees, one policy each.
const staff = `dn: o=nhs
objectClass: organization
o: nhs

dn: ou=People,o=nhs
objectClass: organizationalUnit
ou: People

dn: uid=managed,ou=People,o=nhs
objectClass: inetOrgPerson
uid: managed
cn: managed
sn: managed
userPassword: {SSHA}hDuQ2kVw6yqGkioFbiFGiQJ+jQIxMjM0NTY3OA==

dn: ou=Staff,o=nhs
objectClass: organizationalUnit
ou: Staff

dn: ou=Services,o=nhs
objectClass: organizationalUnit
ou: Services

dn: cn=service,ou=Services,o=nhs
objectClass: inetOrgPerson
cn: service
sn: service
userPassword: {SSHA}hDuQ2kVw6yqGkioFbiFGiQJ+jQIxMjM0NTY3OA==
`

func member(uid string, more ...string) string {
	return "dn: uid=" + uid + ",ou=Staff,o=nhs\nobjectClass: inetOrgPerson\nuid: " + uid + "\ncn: x\nsn: x\n" +
		"userPassword: {SSHA}hDuQ2kVw6yqGkioFbiFGiQJ+jQIxMjM0NTY3OA==\n" + strings.Join(more, "\n") + "\n"
}

const selfWrites = `rules:
  - {name: own, who: [self], attributes: [userPassword], rights: [modify]}
  - {name: admins, who: ["dn: uid=admin,ou=Staff,o=nhs"], attributes: ["*", pwdReset, pwdAccountLockedTime, entry], rights: [write, read]}
  - {name: rest, who: [authenticated], attributes: [entry, "*", "+"], rights: [read, search, compare]}
`

// clock is a clock that is put forward by hand.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func policyRig(t *testing.T, policies ...ldap.PasswordPolicy) (*rig, *clock) {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	now := &clock{}
	r := newRig(t, func(c *ldap.Config) {
		rules, err := c.Tree.Schema().ParseRules([]byte(selfWrites))
		must(t, err)
		c.Rules, c.Passwords, c.Now = rules, policies, now.now
	})
	r.ldif(staff)
	return r, now
}

// bindAsking binds with the password policy control; it returns the code and
// what the response says.
func bindAsking(t *testing.T, c *client.Conn, dn, password string) (code uint16, said client.ControlBeheraPasswordPolicy) {
	t.Helper()
	r, err := c.SimpleBind(client.NewSimpleBindRequest(dn, password, []client.Control{client.NewControlBeheraPasswordPolicy()}))
	return codeOf(t, err), saidIn(t, r.Controls)
}

func codeOf(t *testing.T, err error) uint16 {
	t.Helper()
	if e, ok := err.(*client.Error); ok {
		return e.ResultCode
	}
	must(t, err)
	return 0
}

func saidIn(t *testing.T, controls []client.Control) client.ControlBeheraPasswordPolicy {
	t.Helper()
	answer, ok := client.FindControl(controls, client.ControlTypeBeheraPasswordPolicy).(*client.ControlBeheraPasswordPolicy)
	if !ok {
		t.Fatal("the control is not answered")
	}
	return *answer
}

func TestPeopleAreLockedOut(t *testing.T) {
	t.Parallel()
	r, now := policyRig(t, ldap.PasswordPolicy{Name: "people", Lockout: true, MaxFailure: 3, LockoutDuration: time.Hour, FailureCountInterval: time.Hour})
	r.ldif(member("locked"))
	for _, dn := range []string{"uid=locked,ou=Staff,o=nhs", "uid=managed,ou=People,o=nhs"} {
		c := r.dial("", "")
		wants(t, "wrong", c.Bind(dn, "x"), 49)
		wants(t, "right", c.Bind(dn, "reading"), 0)
		for range 3 {
			code, said := bindAsking(t, c, dn, "x")
			if code != 49 || said.Error != -1 {
				t.Errorf("%s: a wrong password: %d, %+v", dn, code, said)
			}
		}
		wants(t, "right, but locked", c.Bind(dn, "reading"), 49)
		if code, said := bindAsking(t, c, dn, "reading"); code != 49 || said.Error != client.BeheraAccountLocked {
			t.Errorf("%s: who knows the password learns why: %d, %+v", dn, code, said)
		}
		if code, said := bindAsking(t, c, dn, "x"); code != 49 || said.Error != -1 {
			t.Errorf("%s: who does not learns nothing: %d, %+v", dn, code, said)
		}
		admin := r.dial(rootDN, rootPassword)
		eventually(t, "the lock stands in the entry", func() bool {
			got, err := search(admin, dn, "(pwdAccountLockedTime=*)")
			return err == nil && len(got) == 1
		})
		now.pass(2 * time.Hour)
		eventually(t, "the lock ends", func() bool { return c.Bind(dn, "reading") == nil })
		eventually(t, "the lock is taken from the entry", func() bool {
			got, err := search(admin, dn, "(pwdAccountLockedTime=*)")
			return err == nil && len(got) == 0
		})
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}

func TestAdministratorsUnlock(t *testing.T) {
	t.Parallel()
	r, _ := policyRig(t, ldap.PasswordPolicy{Name: "people", Lockout: true, MaxFailure: 2})
	r.ldif(member("locked"))
	dn := "uid=locked,ou=Staff,o=nhs"
	c := r.dial("", "")
	for range 2 {
		wants(t, "wrong", c.Bind(dn, "x"), 49)
	}
	admin := r.dial(rootDN, rootPassword)
	eventually(t, "it is locked until someone ends it", func() bool {
		got, err := search(admin, dn, "(objectClass=*)", "pwdAccountLockedTime")
		return err == nil && got[0].GetAttributeValue("pwdAccountLockedTime") == "000001010000Z"
	})
	wants(t, "locked", c.Bind(dn, "reading"), 49)
	unlock := client.NewModifyRequest(dn, nil)
	unlock.Delete("pwdAccountLockedTime", nil)
	must(t, admin.Modify(unlock))
	wants(t, "unlocked", c.Bind(dn, "reading"), 0)
}

// TestServicesAreNotLockedOut: nobody can lock a service, and who fails slows
// down himself alone.
func TestServicesAreNotLockedOut(t *testing.T) {
	t.Parallel()
	r, _ := policyRig(t)
	dn := "cn=service,ou=Services,o=nhs"
	c := r.dial("", "")
	started := time.Now()
	for range 6 {
		wants(t, "wrong", c.Bind(dn, "x"), 49)
	}
	if took := time.Since(started); took < 250*time.Millisecond {
		t.Errorf("six failures in %v: nothing slows them down", took)
	}
	wants(t, "right", c.Bind(dn, "reading"), 0)
	started = time.Now()
	wants(t, "right again", c.Bind(dn, "reading"), 0)
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("after a success it still waits: %v", took)
	}
}

func TestPasswordsAge(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	r, now := policyRig(t, ldap.PasswordPolicy{Name: "ages", MaxAge: 10 * day, ExpireWarning: 3 * day, GraceLogins: 2, MinAge: day})
	r.ldif(member("aging"))
	dn := "uid=aging,ou=Staff,o=nhs"
	c := r.dial("", "")
	if code, said := bindAsking(t, c, dn, "reading"); code != 0 || said.Expire != -1 || said.Error != -1 {
		t.Errorf("young: %d, %+v", code, said)
	}
	_, err := c.PasswordModify(client.NewPasswordModifyRequest("", "reading", "another1"))
	wants(t, "too young to change", err, 19)
	now.pass(8 * day)
	if code, said := bindAsking(t, c, dn, "reading"); code != 0 || said.Expire < int64(day/time.Second) || said.Expire > int64(2*day/time.Second) {
		t.Errorf("about to expire: %d, %+v", code, said)
	}
	now.pass(3 * day)
	for left := int64(1); left >= 0; left-- {
		if code, said := bindAsking(t, c, dn, "reading"); code != 0 || said.Grace != left {
			t.Errorf("expired with %d times left: %d, %+v", left, code, said)
		}
	}
	if code, said := bindAsking(t, c, dn, "reading"); code != 49 || said.Error != client.BeheraPasswordExpired {
		t.Errorf("expired: %d, %+v", code, said)
	}
	if code, said := bindAsking(t, c, dn, "x"); code != 49 || said.Error != -1 {
		t.Errorf("expired, wrong: %d, %+v", code, said)
	}
	admin := r.dial(rootDN, rootPassword)
	_, err = admin.PasswordModify(client.NewPasswordModifyRequest(dn, "", "made anew"))
	must(t, err)
	if code, said := bindAsking(t, c, dn, "made anew"); code != 0 || said.Grace != -1 || said.Expire != -1 {
		t.Errorf("after a new password: %d, %+v", code, said)
	}
}

func TestNewPasswordsObeyThePolicy(t *testing.T) {
	t.Parallel()
	r, _ := policyRig(t, ldap.PasswordPolicy{Name: "strict", MinLength: 8, MaxLength: 20, Quality: 2, Kinds: 3, InHistory: 2, SafeModify: true})
	r.ldif(member("strict"))
	dn := "uid=strict,ou=Staff,o=nhs"
	c := r.dial(dn, "reading")
	set := func(old, fresh string) (uint16, int8) {
		m := client.NewModifyRequest(dn, []client.Control{client.NewControlBeheraPasswordPolicy()})
		if old != "" {
			m.Delete("userPassword", []string{old})
			m.Add("userPassword", []string{fresh})
		} else {
			m.Replace("userPassword", []string{fresh})
		}
		got, err := c.ModifyWithResult(m)
		if err != nil || got == nil { // the client does not read controls of a refusal
			return codeOf(t, err), -2
		}
		return codeOf(t, err), saidIn(t, got.Controls).Error
	}
	for _, x := range []struct {
		name, old, fresh string
		code             uint16
	}{
		{"too short", "reading", "Ab1", 19}, {"too long", "reading", strings.Repeat("Ab1 ", 6), 19},
		{"too simple", "reading", "onlylower1", 19}, {"holds the name", "reading", "XStrict1", 19},
		{"hashed", "reading", "{SSHA}hDuQ2kVw6yqGkioFbiFGiQJ+jQIxMjM0NTY3OA==", 19},
		{"without the old one", "", "Valid-Pass1", 50}, {"with a wrong old one", "x", "Valid-Pass1", 16},
		{"good", "reading", "Valid-Pass1", 0}, {"the same", "Valid-Pass1", "Valid-Pass1", 19},
		{"another", "Valid-Pass1", "Valid-Pass2", 0}, {"one before", "Valid-Pass2", "Valid-Pass1", 19},
	} {
		if code, _ := set(x.old, x.fresh); code != x.code {
			t.Errorf("%s: code %d, want %d", x.name, code, x.code)
		}
	}
	wants(t, "the last good one", r.dial("", "").Bind(dn, "Valid-Pass2"), 0)
	wants(t, "the old one", r.dial("", "").Bind(dn, "reading"), 49)
	_, err := c.PasswordModify(client.NewPasswordModifyRequest("", "wrong", "Valid-Pass3"))
	wants(t, "ldappasswd with a wrong old one", err, 53)
	_, err = c.PasswordModify(client.NewPasswordModifyRequest("", "", "Valid-Pass3"))
	wants(t, "ldappasswd without the old one", err, 50)
	_, err = c.PasswordModify(client.NewPasswordModifyRequest("", "Valid-Pass2", "Valid-Pass3"))
	wants(t, "ldappasswd", err, 0)
	got, err := search(r.dial(rootDN, rootPassword), dn, "(objectClass=*)", "*", "+")
	must(t, err)
	for _, a := range got[0].Attributes {
		if a.Name == "pwdHistory" || a.Name == "authPassword" || a.Name == "userPassword" {
			t.Errorf("%s is shown", a.Name)
		}
	}
}

// TestStateIsTheServersAlone: what the server keeps of passwords no client
// writes, whoever he is.
func TestStateIsTheServersAlone(t *testing.T) {
	t.Parallel()
	r, _ := policyRig(t)
	r.ldif(member("x"))
	dn := "uid=x,ou=Staff,o=nhs"
	root := r.dial(rootDN, rootPassword)
	for name, value := range map[string]string{"pwdChangedTime": "20200101000000Z", "pwdGraceUseTime": "20200101000000Z", "pwdHistory": "x"} {
		m := client.NewModifyRequest(dn, nil)
		m.Replace(name, []string{value})
		wants(t, name, root.Modify(m), 19)
		m.Replace("userPassword", []string{"with a password"})
		wants(t, name+" beside a password", root.Modify(m), 19)
	}
	m := client.NewModifyRequest("uid=managed,ou=People,o=nhs", nil)
	m.Replace("pwdReset", []string{"TRUE"})
	wants(t, "state in a managed subtree", root.Modify(m), 53)
}

func TestAPasswordSetByAnotherMustBeChanged(t *testing.T) {
	t.Parallel()
	r, _ := policyRig(t, ldap.PasswordPolicy{Name: "change", MustChange: true})
	r.ldif(member("new"))
	r.ldif(member("admin"))
	dn := "uid=new,ou=Staff,o=nhs"
	admin := r.dial("uid=admin,ou=Staff,o=nhs", "reading")
	_, err := admin.PasswordModify(client.NewPasswordModifyRequest(dn, "", "from the admin"))
	must(t, err)
	c := r.dial("", "")
	if code, said := bindAsking(t, c, dn, "from the admin"); code != 0 || said.Error != client.BeheraChangeAfterReset {
		t.Errorf("bind: %d, %+v", code, said)
	}
	_, err = search(c, dn, "(objectClass=*)")
	wants(t, "search before the change", err, 50)
	other := client.NewModifyRequest(dn, nil)
	other.Replace("sn", []string{"y"})
	wants(t, "another modification", c.Modify(other), 50)
	_, err = c.PasswordModify(client.NewPasswordModifyRequest("", "", "my own"))
	must(t, err)
	_, err = search(c, dn, "(objectClass=*)")
	wants(t, "search after the change", err, 0)
	if code, said := bindAsking(t, c, dn, "my own"); code != 0 || said.Error != -1 {
		t.Errorf("bind afterwards: %d, %+v", code, said)
	}
}

func TestPoliciesAreChosenAndChecked(t *testing.T) {
	t.Parallel()
	named, err := directory.ParseDN("cn=named,o=policies")
	must(t, err)
	under, err := directory.ParseDN("ou=Staff,o=nhs")
	must(t, err)
	filter, err := directory.ParseFilter("(title=boss)")
	must(t, err)
	r, _ := policyRig(t,
		ldap.PasswordPolicy{Name: "named", DN: named, Subtree: named, MinLength: 9},
		ldap.PasswordPolicy{Name: "bosses", Subtree: under, Filter: filter, MinLength: 7},
		ldap.PasswordPolicy{Name: "staff", Subtree: under, MinLength: 5})
	r.ldif(member("a", "title: boss") + "\n" + member("b", "pwdPolicySubentry: CN=named,o=policies") + "\n" + member("c"))
	for uid, least := range map[string]int{"a": 7, "b": 9, "c": 5} {
		c := r.dial("uid="+uid+",ou=Staff,o=nhs", "reading")
		_, err := c.PasswordModify(client.NewPasswordModifyRequest("", "", strings.Repeat("ä", least-1)))
		wants(t, uid+": one too short", err, 19)
		_, err = c.PasswordModify(client.NewPasswordModifyRequest("", "", strings.Repeat("ä", least)))
		wants(t, uid+": long enough", err, 0)
	}
	for name, p := range map[string]ldap.PasswordPolicy{
		"never locks":        {Lockout: true},
		"nothing fits":       {MinLength: 9, MaxLength: 8},
		"below zero":         {MinAge: -1},
		"quality":            {Quality: 3},
		"older than allowed": {MinAge: 2, MaxAge: 1},
	} {
		if _, err := ldap.New(ldap.Config{Tree: r.tree, Replica: r.replica, Passwords: []ldap.PasswordPolicy{p}}); err == nil {
			t.Errorf("a policy was taken: %s", name)
		}
	}
}
