package issuance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

func TestListsInRequestsAreBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	person := func(change func(*issuance.NewPerson)) error {
		n := issuancetest.Newcomer(t, "Alex", "Example")
		change(&n)
		start := time.Now()
		_, _, err := w.Desk.AddPerson(ctx, w.Manager.Operator(), n)
		if took := time.Since(start); took > time.Minute { // a busy machine needs room; unbounded lists took minutes
			t.Errorf("the ledger was held for %s", took)
		}
		return err
	}
	wantRule(t, person(func(n *issuance.NewPerson) {
		for i := range 20_000 {
			n.Evidence = append(n.Evidence, issuance.Document{Kind: "deed-poll", Number: fmt.Sprint(i)})
		}
	}), "input.field")
	wantRule(t, person(func(n *issuance.NewPerson) { n.DistinctFrom = make([]certs.UUID, 17) }), "input.field")
	wantRule(t, person(func(n *issuance.NewPerson) { n.Evidence[0].Number = strings.Repeat("1", 4000) }), "input.field")
	uuid := w.Person("Bo", "Example")
	_, err := w.Desk.UpdatePerson(ctx, w.Manager.Operator(), uuid, issuance.PersonChange{Evidence: slices.Repeat([]issuance.Document{{Kind: "utility-bill"}}, 17)})
	wantRule(t, err, "input.field")
	for _, n := range []issuance.NewPosition{
		{Activities: slices.Repeat([]string{"B0001"}, 50_000)},
		{AreasOfWork: slices.Repeat([]string{"S8000"}, 50_000)},
		{Workgroups: slices.Repeat([]string{"123456789012"}, 50_000)},
	} {
		n.Organisation, n.OrganisationName, n.JobRole, n.JobRoleCode = "X99", "EXAMPLE", "a job", ordinaryJob
		_, _, err := w.Desk.AddPosition(ctx, w.Manager.Operator(), uuid, n)
		wantRule(t, err, "input.field")
	}
}
