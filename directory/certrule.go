package directory

// certificateRules are the rules of RFC 4523 §3.
func (s *Schema) certificateRules() []*MatchingRule {
	const arc = "1.3.6.1.1.15."
	notYet := func([]byte) ([]byte, error) { return nil, errEmpty }
	_ = notYet
	return []*MatchingRule{
		{OID: "2.5.13.34", Name: "certificateExactMatch", Syntax: arc + "1", value: sameBytes},
		{OID: "2.5.13.35", Name: "certificateMatch", Syntax: arc + "2", value: sameBytes},
		{OID: "2.5.13.36", Name: "certificatePairExactMatch", Syntax: arc + "3", value: sameBytes},
		{OID: "2.5.13.37", Name: "certificatePairMatch", Syntax: arc + "4", value: sameBytes},
		{OID: "2.5.13.38", Name: "certificateListExactMatch", Syntax: arc + "5", value: sameBytes},
		{OID: "2.5.13.39", Name: "certificateListMatch", Syntax: arc + "6", value: sameBytes},
		{OID: "2.5.13.40", Name: "algorithmIdentifierMatch", Syntax: arc + "7", value: sameBytes},
	}
}
