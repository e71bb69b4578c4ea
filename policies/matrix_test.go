package policies_test

import (
	"slices"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/policies"
)

func TestMatrixAnswersAsTheTable(t *testing.T) {
	t.Parallel()
	m := defaultSet(t).Matrix()
	for _, c := range matrixCases() {
		if got := m.Allows(c.role, c.activity, c.in); got != c.may {
			t.Errorf("%s %s %+v: %v, want %v", c.role, c.activity, c.in, got, c.may)
		}
		err := m.May([]policies.Role{c.role}, c.activity, c.in)
		if (err == nil) != c.may {
			t.Errorf("May %s %s %+v: %v", c.role, c.activity, c.in, err)
		} else if err != nil {
			wantRefusal(t, err, "role")
		}
	}
}

type matrixCase struct {
	role     policies.Role
	activity policies.Activity
	in       policies.Situation
	may      bool
}

func matrixCases() []matrixCase {
	own, desk := policies.Situation{Own: true, DaysLeft: 1000}, policies.Situation{InPerson: true}
	last, late := policies.Situation{Own: true, DaysLeft: 90}, policies.Situation{Own: true, DaysLeft: -1}
	return []matrixCase{
		{policies.RoleManager, policies.PersonAdd, policies.Situation{}, true},
		{policies.RoleIDChecker, policies.PersonAdd, policies.Situation{}, true},
		{policies.RoleSponsor, policies.PersonAdd, policies.Situation{}, false},
		{policies.RoleSponsor, policies.CaseApprove, policies.Situation{}, true},
		{policies.RoleSponsor, policies.CaseApprove, own, false},
		{policies.RoleSponsor, policies.CardIssue, policies.Situation{}, false},
		{policies.RoleManager, policies.CaseApprove, policies.Situation{}, false},
		{policies.RoleAgent, policies.CardIssue, policies.Situation{}, true},
		{policies.RoleAgent, policies.CardIssue, own, false},
		{policies.RoleAgent, policies.CardHandOver, policies.Situation{}, false},
		{policies.RoleAgent, policies.CardHandOver, desk, true},
		{policies.RoleIDChecker, policies.CardIssue, policies.Situation{}, false},
		{policies.RoleLocalAdmin, policies.CardUnlock, policies.Situation{}, true},
		{policies.RoleLocalAdmin, policies.CardCancel, policies.Situation{}, false},
		{policies.RoleSponsor, policies.CardRenew, policies.Situation{}, true},
		{policies.RoleHolder, policies.CardRenew, own, false},
		{policies.RoleHolder, policies.CardRenew, last, true},
		{policies.RoleHolder, policies.CardRenew, late, false},
		{policies.RoleHolder, policies.CardRenewExpired, late, false},
		{policies.RoleAgent, policies.CardRenewExpired, policies.Situation{DaysLeft: -1}, false},
		{policies.RoleAgent, policies.CardRenewExpired, policies.Situation{DaysLeft: -1, InPerson: true}, true},
		{policies.RoleAgent, policies.PositionCloseAll, policies.Situation{}, false},
		{policies.RoleAdvancedAgent, policies.PositionCloseAll, policies.Situation{}, true},
		{policies.RoleSponsor, policies.PositionAssign, policies.Situation{}, false},
		{policies.RoleSponsor, policies.PositionAssign, policies.Situation{Assignable: true}, true},
		{policies.RoleManager, policies.PositionAssign, own, false},
		{policies.RoleSecurityAdmin, policies.CardCancel, policies.Situation{}, true},
		{policies.RoleSecurityAdmin, policies.CardSuspend, policies.Situation{}, true},
		{policies.RoleSecurityAdmin, policies.CardResume, policies.Situation{}, true},
		{policies.RoleSecurityAdmin, policies.CardResume, own, false},
		{policies.RoleSecurityAdmin, policies.CardCancel, own, false},
		{policies.RoleSecurityAdmin, policies.CaseApprove, policies.Situation{}, false},
		{policies.RoleSecurityAdmin, policies.CardIssue, policies.Situation{}, false},
		{policies.RoleAuditor, policies.RecordRead, policies.Situation{}, true},
		{policies.RoleAuditor, policies.CardCancel, policies.Situation{}, false},
		{policies.RoleCAOperator, policies.ListPublish, policies.Situation{}, true},
		{policies.RoleCAOperator, policies.CardIssue, policies.Situation{}, false},
		{policies.RoleHolder, policies.CardSuspend, own, true},
		{policies.RoleHolder, policies.CardResume, own, false},
	}
}

func TestNoIdentityCanBothApproveAndIssue(t *testing.T) {
	t.Parallel()
	m := defaultSet(t).Matrix()
	both := []policies.Role{policies.RoleSponsor, policies.RoleAgent}
	for _, a := range []policies.Activity{policies.CaseApprove, policies.CardIssue, policies.CardReplace} {
		wantRefusal(t, m.May(both, a, policies.Situation{}), "apart")
	}
	if err := m.May(both, policies.CardUnlock, policies.Situation{}); err != nil {
		t.Errorf("what is not kept apart: %v", err)
	}
	wantRefusal(t, m.May(nil, policies.CardIssue, policies.Situation{}), "role")
	wantRefusal(t, m.May(both, "card.paint", policies.Situation{}), "role")
}

func TestFourEyes(t *testing.T) {
	t.Parallel()
	if err := policies.FourEyes(policies.Hands{Requester: "a", Approver: "b", Issuer: "a", Holder: "c"}); err != nil {
		t.Error(err)
	}
	if err := policies.FourEyes(policies.Hands{Requester: "a"}); err != nil {
		t.Error(err)
	}
	for _, h := range []policies.Hands{
		{Requester: "a", Approver: "a"}, {Approver: "a", Issuer: "a"}, {Approver: "a", Holder: "a"}, {Issuer: "a", Holder: "a"},
	} {
		wantRefusal(t, policies.FourEyes(h), "four-eyes")
	}
}

func TestRolesComeFromCodes(t *testing.T) {
	t.Parallel()
	m := defaultSet(t).Matrix()
	got := m.RolesOf([]string{"S8000:G8001:R5080", "R8000"}, []string{"B0263", "B0825"})
	if want := []policies.Role{policies.RoleManager, policies.RoleLocalAdmin}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := m.RolesOf([]string{"", "holder", "R508"}, []string{"R5080"}); got != nil {
		t.Errorf("roles from nothing: %v", got)
	}
}

func TestCancelReasons(t *testing.T) {
	t.Parallel()
	e := defaultSet(t).Events()
	cases := []struct {
		reason                    string
		known                     bool
		authentication, signature certs.Reason
	}{
		{"lost", false, certs.ReasonKeyCompromise, certs.ReasonUnspecified},
		{"lost", true, certs.ReasonKeyCompromise, certs.ReasonKeyCompromise},
		{"stolen", false, certs.ReasonKeyCompromise, certs.ReasonUnspecified},
		{"damaged", false, certs.ReasonSuperseded, certs.ReasonSuperseded},
		{"left", false, certs.ReasonAffiliationChanged, certs.ReasonAffiliationChanged},
		{"superseded", true, certs.ReasonSuperseded, certs.ReasonSuperseded},
		{"compromised", false, certs.ReasonKeyCompromise, certs.ReasonKeyCompromise},
	}
	for _, c := range cases {
		got, err := e.Cancel(c.reason, c.known)
		if err != nil || got != (policies.PairReasons{Authentication: c.authentication, Signature: c.signature}) {
			t.Errorf("%s, passcode known %v: %+v, %v", c.reason, c.known, got, err)
		}
	}
	_, err := e.Cancel("eaten", false)
	wantRefusal(t, err, "cancel-reason")
}

func TestRetentionKeepsWhatIsNotListed(t *testing.T) {
	t.Parallel()
	r := defaultSet(t).Retention()
	if until, found := r.Until("evidence", noon()); !found || !until.Equal(noon().AddDate(2, 0, 0)) {
		t.Errorf("evidence until %s, %v", until, found)
	}
	if _, found := r.Until("unheard of", time.Time{}); found {
		t.Error("an unknown record may be erased")
	}
}
