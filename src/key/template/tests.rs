mod properties;

use super::*;
use crate::key::GlobError;

fn bound(scope: &ScopeTemplate, values: &[(&str, &'static str)]) -> Result<String, Unbound> {
    let mut out = String::from("g:");
    let find =
        |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let done = scope.bind(find, &mut out);
    assert!(done.is_ok() || out == "g:");
    done.map(|()| out["g:".len()..].to_owned())
}

fn any(scope: &ScopeTemplate) -> String {
    let mut out = String::new();
    scope.bind_any(|_| None, &mut out).unwrap();
    out
}

fn path(template: &str) -> ScopeTemplate {
    ScopeTemplate::path(template).unwrap()
}

fn subtree(template: &str) -> ScopeTemplate {
    ScopeTemplate::subtree(template).unwrap()
}

fn pattern(template: &str) -> ScopeTemplate {
    ScopeTemplate::pattern(template).unwrap()
}

fn found(captures: Option<Captures<'_>>) -> Option<Vec<&str>> {
    captures.map(|captures| captures.values().to_vec())
}

#[test]
fn routes_are_read_as_axum_reads_them() {
    let route = PathTemplate::parse("/users/{id}/{{x}}/{*rest}").unwrap();
    assert_eq!(
        route.segments(),
        [
            Segment::Literal("users".into()),
            Segment::Param("id".into()),
            Segment::Literal("{x}".into()),
            Segment::Rest("rest".into()),
        ]
    );
    assert_eq!(route.params().collect::<Vec<_>>(), ["id", "rest"]);
    assert_eq!(route.as_str(), "/users/{id}/{{x}}/{*rest}");
    assert_eq!(PathTemplate::parse("/").unwrap().segments(), [Segment::Literal(String::new())]);
    assert_eq!(PathTemplate::parse("/a/").unwrap().segments().len(), 2);
}

#[test]
fn a_router_takes_every_route_that_is_read() {
    for template in ["/", "/a", "/a/", "/{id}", "/a/{id}/b", "/{{a}}/{id}", "/a/{*rest}", "//{a}"] {
        PathTemplate::parse(template).unwrap();
        matchit::Router::new().insert(template, ()).unwrap();
    }
}

#[test]
fn what_is_no_route_is_refused() {
    for (template, error) in [
        ("", TemplateError::Empty),
        ("users", TemplateError::NotAbsolute),
        ("/{id", TemplateError::UnclosedBrace),
        ("/id}", TemplateError::StrayBrace),
        ("/{}", TemplateError::BadName(String::new())),
        ("/{*}", TemplateError::BadName("*".into())),
        ("/{a}/{a}", TemplateError::DuplicateParam("a".into())),
        ("/{id}.json", TemplateError::PartialSegment("{id}.json".into())),
        ("/{a}{b}", TemplateError::PartialSegment("{a}{b}".into())),
        ("/:id", TemplateError::OldSyntax(":id".into())),
        ("/{*rest}/a", TemplateError::RestNotLast("rest".into())),
        ("/a\tb", TemplateError::ControlCharacter),
    ] {
        assert_eq!(PathTemplate::parse(template), Err(error.clone()), "{template}");
        assert!(!error.to_string().is_empty());
    }
    let long = format!("/{}", "a".repeat(1024));
    assert_eq!(PathTemplate::parse(&long), Err(TemplateError::TooLong));
}

#[test]
fn scopes_have_stable_texts() {
    for (scope, text, open) in [
        (path("/users/{id}"), "path:/users/42", "path:/users/{}"),
        (path("/"), "path:/", "path:/"),
        (path("/caf\u{e9}/%7e"), "path:/caf%C3%A9/~", "path:/caf%C3%A9/~"),
        (subtree("/users/{id}"), "subtree:/users/42", "subtree:/users/{}"),
        (subtree("/"), "subtree:/", "subtree:/"),
        (pattern("users:{id}:*"), "glob:users:42:*", "glob:users:{}:*"),
        (pattern("{{{id}}}"), "glob:{{42}}", "glob:{{{}}}"),
        (pattern("{{}}"), "glob:{{}}", "glob:{{}}"),
        (ScopeTemplate::tag("user:{id}").unwrap(), "tag:user:42", "tag:user:{}"),
        (ScopeTemplate::tag("{{x}}").unwrap(), "tag:{{x}}", "tag:{{x}}"),
    ] {
        assert_eq!(bound(&scope, &[("id", "42")]).as_deref(), Ok(text));
        assert_eq!(any(&scope), open);
    }
}

#[test]
fn a_scope_is_bound_to_encoded_values_only() {
    let scope = subtree("/users/{id}");
    assert_eq!(bound(&scope, &[]), Err(Unbound::Missing("id".into())));
    for value in ["*", "a/b", "[", "\\", "{}", "a:b", "?", "\u{e9}", " "] {
        assert_eq!(bound(&scope, &[("id", value)]), Err(Unbound::NotEncoded("id".into())));
    }
    assert_eq!(bound(&scope, &[("id", "%2A")]).as_deref(), Ok("subtree:/users/%2A"));
}

#[test]
fn path_scopes_cover_paths() {
    let scope = path("/users/{id}");
    assert_eq!(found(scope.bind_from_path("/users/42")), Some(vec!["42"]));
    assert_eq!(found(scope.bind_from_path("/users/42/stats")), None);
    assert_eq!(found(scope.bind_from_path("/users/42/")), None);
    assert_eq!(found(scope.bind_from_path("/users")), None);
    assert_eq!(found(scope.bind_from_text("/users/42")), None);

    let scope = subtree("/users/{id}");
    assert_eq!(found(scope.bind_from_path("/users/42")), Some(vec!["42"]));
    assert_eq!(found(scope.bind_from_path("/users/42/stats")), Some(vec!["42"]));
    assert_eq!(found(scope.bind_from_path("/users/42/")), Some(vec!["42"]));
    assert_eq!(found(scope.bind_from_path("/users/421")), Some(vec!["421"]));
    assert_eq!(found(scope.bind_from_path("/users")), None);

    assert!(subtree("/users").bind_from_path("/users/").is_some());
    assert!(path("/users").bind_from_path("/users/").is_none());
    assert!(subtree("/users").bind_from_path("/users2").is_none());
    for covered in ["/", "/a", "//", "/a/b/"] {
        assert!(subtree("/").bind_from_path(covered).is_some(), "{covered}");
    }
    assert!(path("/").bind_from_path("/a").is_none());
}

#[test]
fn patterns_find_their_parameters() {
    let scope = pattern("users:{role}:{status}");
    assert_eq!(found(scope.bind_from_text("users:admin:%2A")), Some(vec!["admin", "%2A"]));
    assert_eq!(found(scope.bind_from_text("users:a,b:=")), Some(vec!["a,b", "="]));
    assert_eq!(found(scope.bind_from_text("users::")), Some(vec!["", ""]));
    assert_eq!(found(pattern("{a},{b}").bind_from_text("x,y,z")), Some(vec!["x", "y,z"]));
    assert_eq!(found(scope.bind_from_text("users:a:b:c")), None);
    assert_eq!(found(pattern("/users/{id}/*").bind_from_text("/users/4/a/b")), Some(vec!["4"]));
    assert_eq!(found(pattern("/users/*").bind_from_text("/users/4?a=1")), Some(vec![]));
    assert_eq!(found(pattern("?{id}\u{e9}").bind_from_text("x1\u{e9}")), Some(vec!["1"]));
    assert_eq!(found(pattern("?{id}").bind_from_text("\u{e9}")), None);
}

#[test]
fn captures_are_bound_again() {
    let scope = pattern("{a}:{b}:*");
    let captures = scope.bind_from_text("x:y:z").unwrap();
    let text = |is_open: fn(usize) -> bool| {
        let mut out = String::new();
        scope.bind_captures(&captures, is_open, &mut out).map(|()| out)
    };
    assert_eq!(text(|_| false).as_deref(), Ok("glob:x:y:*"));
    assert_eq!(text(|index| index == 0).as_deref(), Ok("glob:{}:y:*"));
    let other = path("/{a}/{b}/{c}");
    assert_eq!(
        other.bind_captures(&captures, |_| true, &mut String::new()),
        Err(Unbound::Missing("c".into()))
    );
}

#[test]
fn what_is_no_scope_is_refused_with_the_way_out() {
    let no_delimiter = |param: &str, subtree: Option<&str>| TemplateError::NoDelimiter {
        param: param.into(),
        subtree: subtree.map(Into::into),
    };
    for (scope, error) in [
        (ScopeTemplate::path("users"), TemplateError::NotAbsolute),
        (ScopeTemplate::path("/users?a=1"), TemplateError::QueryInPath),
        (ScopeTemplate::path("/users/*"), TemplateError::StarInPath),
        (ScopeTemplate::path("/a/{*rest}"), TemplateError::RestInScope("rest".into())),
        (ScopeTemplate::path("/a/../b"), TemplateError::DotSegment),
        (ScopeTemplate::path("/a/%2E"), TemplateError::DotSegment),
        (ScopeTemplate::path("/%zz"), TemplateError::MalformedEscape),
        (ScopeTemplate::path("/{a}/{a}"), TemplateError::DuplicateParam("a".into())),
        (ScopeTemplate::path("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"), TemplateError::TooManyParams),
        (ScopeTemplate::subtree("/users/"), TemplateError::TrailingSlash("/users".into())),
        (ScopeTemplate::pattern(""), TemplateError::Empty),
        (ScopeTemplate::pattern("[a"), TemplateError::Glob(GlobError::UnclosedClass)),
        (ScopeTemplate::pattern("/users/{id}*"), no_delimiter("id", Some("/users/{id}"))),
        (ScopeTemplate::pattern("/users/{id}x"), no_delimiter("id", Some("/users/{id}"))),
        (ScopeTemplate::pattern("{a}{b}"), no_delimiter("a", None)),
        (ScopeTemplate::pattern("{a}?"), no_delimiter("a", None)),
        (ScopeTemplate::pattern("{a}[:]"), no_delimiter("a", None)),
        (ScopeTemplate::pattern("{a}\\-"), no_delimiter("a", None)),
        (ScopeTemplate::pattern("*:{a}"), TemplateError::Ambiguous("a".into())),
        (ScopeTemplate::pattern("[{a}]"), TemplateError::ParamInClass),
        (ScopeTemplate::pattern("{a}:{a}"), TemplateError::DuplicateParam("a".into())),
        (ScopeTemplate::pattern("a}"), TemplateError::StrayBrace),
        (ScopeTemplate::pattern("{*a}"), TemplateError::RestInScope("a".into())),
        (ScopeTemplate::tag("{a}-{b}"), no_delimiter("a", None)),
        (ScopeTemplate::tag(""), TemplateError::Empty),
    ] {
        assert_eq!(scope, Err(error.clone()), "{error}");
    }
    assert!(
        no_delimiter("id", Some("/users/{id}")).to_string().contains("subtree(\"/users/{id}\")")
    );
}

#[test]
fn what_is_no_key_template_is_refused() {
    for (template, error) in [
        ("/users", TemplateError::LeadingSlash),
        ("{a}/users", TemplateError::LeadingSlash),
        ("{a}:{a}", TemplateError::DuplicateParam("a".into())),
        ("{*a}", TemplateError::RestInScope("a".into())),
        ("", TemplateError::Empty),
    ] {
        assert_eq!(KeyTemplate::parse(template), Err(error), "{template}");
    }
    for template in ["{a}{b}", "{a}-{b}", "{a},{b}", "{a}={b}"] {
        assert!(
            matches!(KeyTemplate::parse(template), Err(TemplateError::NoDelimiter { .. })),
            "{template}"
        );
    }
    assert!(KeyTemplate::parse("{a}-:{b}").is_ok());
}

#[test]
fn keys_that_may_be_the_same_are_found() {
    let collide = |one: &str, other: &str| {
        let (one, other) = (KeyTemplate::parse(one).unwrap(), KeyTemplate::parse(other).unwrap());
        assert_eq!(one.may_collide(&other), other.may_collide(&one));
        one.may_collide(&other)
    };
    assert!(collide("users:{role}", "users:all"));
    assert!(collide("users:{role}", "users:{x}"));
    assert!(collide("{a}:x", "x:{b}"));
    assert!(!collide("users:{role}", "gyms:{role}"));
    assert!(!collide("users:{role}", "users:{role}:{status}"));
    assert!(!collide("{a}:x", "{a}:y"));
    assert!(!KeyTemplate::parse("{a}").unwrap().may_collide(&KeyTemplate::Path));
}

#[test]
fn reach_is_worked_out() {
    let reach = |scope: &ScopeTemplate, route: &str, key: &KeyTemplate| {
        scope.reach(&PathTemplate::parse(route).unwrap(), key)
    };
    let on_path = |scope: &ScopeTemplate, route: &str| reach(scope, route, &KeyTemplate::Path);
    let param = |name: &str| Binding::Param(name.into());
    let constant = |text: &str| Binding::Constant(text.into());

    let scope = subtree("/users/{id}");
    assert_eq!(on_path(&scope, "/users"), Reach::Never);
    assert_eq!(on_path(&scope, "/users/{user}/stats"), Reach::Always(vec![param("user")]));
    assert_eq!(on_path(&scope, "/users/me"), Reach::Always(vec![constant("me")]));
    assert_eq!(on_path(&scope, "/{kind}/x"), Reach::Sometimes);
    assert_eq!(on_path(&scope, "/{kind}"), Reach::Never);
    assert_eq!(on_path(&scope, "/{*rest}"), Reach::Sometimes);
    assert_eq!(on_path(&scope, "/gyms/{*rest}"), Reach::Never);
    assert_eq!(on_path(&scope, "/users/{id}/{*rest}"), Reach::Always(vec![param("id")]));
    assert_eq!(on_path(&path("/users/{id}"), "/users/{id}/x"), Reach::Never);
    assert_eq!(on_path(&path("/caf%C3%A9"), "/caf\u{e9}"), Reach::Always(vec![]));
    assert_eq!(on_path(&subtree("/"), "/{*rest}"), Reach::Always(vec![]));
    assert_eq!(on_path(&path("/users/"), "/users/{id}"), Reach::Never);

    assert_eq!(on_path(&pattern("/users*"), "/users/{id}"), Reach::Always(vec![]));
    assert_eq!(on_path(&pattern("/users*"), "/gyms"), Reach::Never);
    assert_eq!(on_path(&pattern("/users/{id}/*"), "/users/{u}/x"), Reach::Always(vec![param("u")]));
    assert_eq!(on_path(&pattern("/users/{id}"), "/users/{u}"), Reach::Sometimes);
    assert_eq!(on_path(&pattern("/users"), "/users"), Reach::Sometimes);
    assert_eq!(on_path(&pattern("/users\\?*"), "/users"), Reach::Sometimes);
    assert_eq!(on_path(&pattern("*x=1*"), "/users"), Reach::Sometimes);
    assert_eq!(on_path(&pattern("*"), "/{*rest}"), Reach::Always(vec![]));

    let key = KeyTemplate::parse("users:{role}:{status}").unwrap();
    let on_text = |template: &str| reach(&pattern(template), "/users", &key);
    assert_eq!(on_text("users:*"), Reach::Always(vec![]));
    assert_eq!(on_text("users:{r}:*"), Reach::Always(vec![param("role")]));
    assert_eq!(on_text("users:{r}:{s}"), Reach::Always(vec![param("role"), param("status")]));
    assert_eq!(on_text("{what}:*"), Reach::Always(vec![constant("users")]));
    assert_eq!(on_text("users:admin:*"), Reach::Sometimes);
    assert_eq!(on_text("/users*"), Reach::Never);
    assert_eq!(on_text("users:{r}"), Reach::Never);
    // Path scopes look at the route's path, whatever the key text.
    assert_eq!(reach(&path("/users"), "/users", &key), Reach::Always(vec![]));
    assert_eq!(reach(&ScopeTemplate::tag("a").unwrap(), "/users", &key), Reach::Never);
}
