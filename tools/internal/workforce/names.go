package workforce

// role is a job role of the national list, with the business functions that
// usually come with it.
type role struct {
	code, words string
	activities  []string
}

func roles() []role {
	return []role{
		{"S8000:G8000:R8000", `"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"`, []string{"B0360", "B0370"}},
		{"S8000:G8000:R8001", `"Clinical":"Clinical Provision":"Nurse Access Role"`, []string{"B0360"}},
		{"S8000:G8000:R8001", `"Clinical":"Clinical Provision":"Nurse Access Role"`, []string{"B0360"}},
		{"S8000:G8001:R8006", `"Admin & Clerical":"Admin & Clerical":"Medical Secretary Access Role"`, nil},
		{"S8000:G8001:R8008", `"Admin & Clerical":"Admin & Clerical":"Admin/Clinical Support Access Role"`, nil},
		{"S8000:G8001:R8008", `"Admin & Clerical":"Admin & Clerical":"Admin/Clinical Support Access Role"`, nil},
		{"S0010:G0020:R0260", `"Medical and Dental":"GP":"General Medical Practitioner"`, []string{"B0401", "B0420"}},
		{"S0080:G0450:R1290", `"Allied Health Professionals":"Pharmacist":"Pharmacist"`, []string{"B0572"}},
		{"S0090:G0500:R0001", `"Information":"Governance":"Privacy Officer"`, []string{"B0016"}},
		{"S0100:G0510:R5110", `"Admin & Clerical":"Management":"Demographic Administrator"`, []string{"B0825"}},
		{"S8000:G8000:R8000", `"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"`, []string{"B1300"}},
		{"S8000:G8001:R8008", `"Admin & Clerical":"Admin & Clerical":"Admin/Clinical Support Access Role"`, []string{"B0267"}},
		{"S8000:G8001:R8008", `"Admin & Clerical":"Admin & Clerical":"Admin/Clinical Support Access Role"`, []string{"B0263"}},
		{"S0100:G0510:R5090", `"Admin & Clerical":"Management":"Registration Authority Agent"`, nil},
	}
}

func givens() []string {
	return []string{"Olivia", "Amelia", "Isla", "Ava", "Mia", "Ivy", "Lily", "Freya", "Zoë", "Siân", "Aisha", "Fatima", "Priya", "Ananya", "Grace", "Chloë",
		"George", "Noah", "Arthur", "Harry", "Leo", "Muhammad", "Jack", "Oscar", "Rhys", "Owen", "Callum", "Ewan", "Arjun", "Ravi", "Tomasz", "Piotr",
		"Chidi", "Ngozi", "Kwame", "Abena", "Wei", "Mei", "Hiroshi", "Sofia", "Luca", "Marta", "André", "Renée", "Dylan", "Bronwen", "Niamh", "Aoife",
		"Sean", "Declan", "Ruth", "Miriam", "David", "Samuel", "Ada", "Grace Ann", "Mary Jane", "Jean-Luc", "Alex", "Sam", "Charlie", "Robin", "Jordan", "Morgan"}
}

func families() []string {
	return []string{"Smith", "Jones", "Williams", "Taylor", "Brown", "Davies", "Evans", "Wilson", "Thomas", "Roberts", "Johnson", "Lewis", "Walker", "Robinson",
		"Wood", "Thompson", "White", "Watson", "Jackson", "Wright", "Green", "Harris", "Cooper", "King", "Lee", "Martin", "Clarke", "James", "Morgan", "Hughes",
		"Edwards", "Hill", "Moore", "Clark", "Harrison", "Scott", "Young", "Morris", "Hall", "Ward", "Turner", "Carter", "Phillips", "Mitchell", "Patel", "Adams",
		"Campbell", "Anderson", "Allen", "Cook", "Khan", "Begum", "Hussain", "Ahmed", "Singh", "Kaur", "Okafor", "Mensah", "Nowak", "Kowalski", "O'Brien",
		"O'Connor", "Murphy", "Kelly", "Chen", "Wang", "Nguyen", "Garcia", "Rossi", "Schröder", "Müller", "van der Berg", "de Souza", "St John", "MacDonald"}
}

func towns() []string {
	return []string{"Leeds", "York", "Hull", "Derby", "Luton", "Poole", "Truro", "Exeter", "Bath", "Bristol", "Oxford", "Norwich", "Ipswich", "Lincoln", "Durham",
		"Carlisle", "Preston", "Bolton", "Bury", "Stafford", "Telford", "Hereford", "Worcester", "Coventry", "Warwick", "Reading", "Slough", "Brighton", "Hove", "Kent"}
}
