package api

import "net/http"

// Route is one thing that can be asked. Path holds {name} wildcards in the
// form both net/http.ServeMux and OpenAPI read.
type Route struct {
	Name   string // the Client's method and the operationId
	Method string
	Path   string
	Body   bool // an application/json body is required
	Large  bool // it may be of 16 MiB: a national workforce by name
}

// Routes lists every route once: the server registers exactly these, the
// Client asks exactly these, and the OpenAPI document describes exactly these.
func Routes() []Route {
	const get, post, patch = http.MethodGet, http.MethodPost, http.MethodPatch
	return []Route{
		{Name: "OpenAPI", Method: get, Path: "/openapi.json"},
		{Name: "Health", Method: get, Path: "/v1/health"},
		{Name: "Self", Method: get, Path: "/v1/operator"},
		{Name: "Operators", Method: get, Path: "/v1/operators"},

		{Name: "AddPerson", Method: post, Path: "/v1/persons", Body: true},
		{Name: "Persons", Method: get, Path: "/v1/persons"},
		{Name: "Person", Method: get, Path: "/v1/persons/{uuid}"},
		{Name: "UpdatePerson", Method: patch, Path: "/v1/persons/{uuid}", Body: true},

		{Name: "AddPosition", Method: post, Path: "/v1/persons/{uuid}/positions", Body: true},
		{Name: "Positions", Method: get, Path: "/v1/persons/{uuid}/positions"},
		{Name: "ClosePosition", Method: post, Path: "/v1/persons/{uuid}/positions/{position}/close", Body: true},

		{Name: "RequestCase", Method: post, Path: "/v1/cases", Body: true},
		{Name: "Cases", Method: get, Path: "/v1/cases"},
		{Name: "Case", Method: get, Path: "/v1/cases/{case}"},
		{Name: "ApproveCase", Method: post, Path: "/v1/cases/{case}/approve", Body: true},
		{Name: "RefuseCase", Method: post, Path: "/v1/cases/{case}/refuse", Body: true},
		{Name: "Issue", Method: post, Path: "/v1/cases/{case}/issue", Body: true},

		{Name: "Cards", Method: get, Path: "/v1/cards"},
		{Name: "Card", Method: get, Path: "/v1/cards/{card}"},
		{Name: "HandOver", Method: post, Path: "/v1/cards/{card}/handover", Body: true},
		{Name: "Suspend", Method: post, Path: "/v1/cards/{card}/suspend", Body: true},
		{Name: "Resume", Method: post, Path: "/v1/cards/{card}/resume", Body: true},
		{Name: "Cancel", Method: post, Path: "/v1/cards/{card}/cancel", Body: true},
		{Name: "Renew", Method: post, Path: "/v1/cards/{card}/renew", Body: true},
		{Name: "Replace", Method: post, Path: "/v1/cards/{card}/replace", Body: true},

		{Name: "PlanOrder", Method: post, Path: "/v1/orders/plan", Body: true, Large: true},
		{Name: "PlaceOrder", Method: post, Path: "/v1/orders", Body: true, Large: true},
		{Name: "Orders", Method: get, Path: "/v1/orders"},
		{Name: "Order", Method: get, Path: "/v1/orders/{order}"},
		{Name: "OrderCards", Method: get, Path: "/v1/orders/{order}/cards"},
		{Name: "ConfirmOrder", Method: post, Path: "/v1/orders/{order}/confirm", Body: true},
		{Name: "StopOrder", Method: post, Path: "/v1/orders/{order}/stop", Body: true},
		{Name: "ContinueOrder", Method: post, Path: "/v1/orders/{order}/continue", Body: true},
		{Name: "WithdrawOrder", Method: post, Path: "/v1/orders/{order}/withdraw", Body: true},
		{Name: "BreakGlass", Method: get, Path: "/v1/break-glass"},
		{Name: "AddBreakGlass", Method: post, Path: "/v1/break-glass/{card}/add", Body: true},
		{Name: "RemoveBreakGlass", Method: post, Path: "/v1/break-glass/{card}/remove", Body: true},
		{Name: "Served", Method: get, Path: "/v1/served"},
		{Name: "Events", Method: get, Path: "/events"},

		{Name: "Certificates", Method: get, Path: "/v1/certificates/{serial}"},
		{Name: "Issuers", Method: get, Path: "/v1/issuers"},
		{Name: "Lists", Method: get, Path: "/v1/lists"},
		{Name: "PublishLists", Method: post, Path: "/v1/lists", Body: true},
	}
}
