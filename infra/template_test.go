package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/api/samtest"
)

// TestTemplate: what template.yaml says of functions is what the stack says, and it tells each what the stack tells it. Values
// that are known only once there is a deployment are its own.
func TestTemplate(t *testing.T) {
	t.Parallel()
	template, ts := samtest.Read(t, "../template.yaml"), deployed(t, least)
	stack, found := samtest.Facts{}, template.Runs()
	ids := map[string]string{} // in the template, by the alias that routes call
	for name, f := range ts.functions() {
		id, p := samtest.ID(name), f.Properties
		ids["service/"+id+"Live"] = id
		stack.Say(id, "Type", "AWS::Serverless::Function")
		stack.Say(id, "CodeUri", "dist/"+name+".zip") // an asset's name is its digest
		for _, property := range []string{"Runtime", "Handler", "MemorySize", "Timeout", "Architectures"} {
			stack.Say(id, property, p[property])
		}
		told := template.Environment(name)
		for variable, value := range told {
			if !strings.HasPrefix(variable, "AWS_ENDPOINT_URL_") { // which is for where there is no AWS
				found.Say(id, variable, value)
			}
		}
		for variable, value := range at(p, "Environment", "Variables").(map[string]any) {
			text, plain := value.(string)
			if here, ok := told[variable]; !plain && ok {
				text = here
			}
			stack.Say(id, variable, text)
		}
	}
	for _, r := range ts.of("AWS::ApiGatewayV2::Route") {
		p := r.Properties
		integration := strings.TrimPrefix(ts.resolve("service", p["Target"]), "integrations/")
		calls := ts.of("AWS::ApiGatewayV2::Integration")[integration].Properties["IntegrationUri"]
		proof := fmt.Sprint(p["AuthorizationType"])
		if p["AuthorizerId"] != nil {
			proof = strings.TrimPrefix(ts.resolve("service", p["AuthorizerId"]), "service/")
		}
		stack.Say(ids[plain(ts.resolve("service", calls))], p["RouteKey"].(string), proof)
	}
	sessions := ts.one(t, "service", "AWS::ApiGatewayV2::Authorizer").Properties
	stack.Say("Sessions", "source", ts.resolveAll("service", sessions["IdentitySource"]))
	stack.Say("Sessions", "issuer", at(sessions, "JwtConfiguration", "Issuer"))
	stack.Say("Sessions", "audiences", ts.resolveAll("service", at(sessions, "JwtConfiguration", "Audience")))
	for name, a := range template.Globals.HttpApi.Auth.Authorizers {
		found.Say(name, "source", []string{a.IdentitySource})
		found.Say(name, "issuer", a.JwtConfiguration.Issuer)
		found.Say(name, "audiences", a.JwtConfiguration.Audience)
	}
	for _, line := range samtest.Differences(stack, found) {
		t.Errorf("template.yaml is not as the stack of %s: %s", least, line)
	}
}
