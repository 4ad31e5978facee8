//! Units of systemd as files: what a service executes, as whom, and with which capabilities.
//! Runs nothing and knows no unit by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::run::Result;

/// Settings of the `[Service]` section of a unit.
pub(crate) struct Service(BTreeMap<String, Vec<String>>);

impl Service {
    /// Reads a unit.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut settings = BTreeMap::<_, Vec<_>>::new();
        let lines = text.lines().skip_while(|line| *line != "[Service]").skip(1);
        for line in lines.take_while(|line| !line.starts_with('[')) {
            if let (false, Some((name, value))) = (line.starts_with('#'), line.split_once('=')) {
                let values = settings.entry(name.to_owned()).or_default();
                values.push(value.to_owned());
            }
        }
        Self(settings)
    }

    /// Returns the value of a setting that must be there once.
    fn value(&self, name: &str) -> Result<&str> {
        match self.0.get(name).map(Vec::as_slice) {
            Some([value]) => Ok(value),
            _ => Err(format!("the service does not have one {name}=")),
        }
    }

    /// Returns what it executes, with variables of `Environment=`, which those of the text of
    /// its `EnvironmentFile=` replace.
    pub(crate) fn command(&self, environment_file: &str) -> Result<Vec<String>> {
        let mut variables = BTreeMap::new();
        let own = quoted(self.value("Environment")?);
        let lines = environment_file.lines().map(|line| line.replace('"', ""));
        for variable in own.into_iter().chain(lines) {
            if let (false, Some((name, value))) =
                (variable.starts_with('#'), variable.split_once('='))
            {
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
        let value = |name: &str| {
            let value = variables.get(name);
            value.ok_or(format!("the service has no variable {name}"))
        };
        let mut words = Vec::new();
        for word in self.value("ExecStart")?.split_whitespace() {
            let braced = word.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
            match (braced, word.strip_prefix('$')) {
                (Some(name), _) => words.push(value(name)?.clone()),
                (None, Some(name)) => {
                    words.extend(value(name)?.split_whitespace().map(str::to_owned));
                }
                (None, None) => words.push(word.to_owned()),
            }
        }
        Ok(words)
    }

    /// Returns the options of setpriv(1) that make a process what systemd makes the service's:
    /// user, group, and capabilities, of which those of `without` are left out.
    pub(crate) fn setpriv(&self, without: &[&str]) -> Result<Vec<String>> {
        if self.value("NoNewPrivileges")? != "yes" {
            return Err("the service may gain privileges".to_owned());
        }
        let set = |name: &str| -> Result<String> {
            let names = self.0.get(name).map_or("", |values| values[0].as_str());
            let names = names.split_whitespace().filter(|it| !without.contains(it));
            let added = names.map(|name| match name.strip_prefix("CAP_") {
                Some(name) => Ok(format!(",+{}", name.to_lowercase())),
                None => Err(format!("{name} is no capability")),
            });
            Ok(format!("-all{}", added.collect::<Result<String>>()?))
        };
        let ambient = set("AmbientCapabilities")?;
        Ok(vec![
            format!("--reuid={}", self.value("User")?),
            format!("--regid={}", self.value("Group")?),
            "--clear-groups".to_owned(),
            "--no-new-privs".to_owned(),
            format!("--inh-caps={ambient}"),
            format!("--ambient-caps={ambient}"),
            format!("--bounding-set={}", set("CapabilityBoundingSet")?),
        ])
    }
}

/// Splits words, of which some are in quotation marks.
fn quoted(text: &str) -> Vec<String> {
    let parts = text.split('"').enumerate();
    let is_inside = |index: usize| index % 2 == 1;
    parts
        .flat_map(|(index, part)| match is_inside(index) {
            true => vec![part.to_owned()],
            false => part.split_whitespace().map(str::to_owned).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str =
        "[Unit]\nDescription=x\n[Service]\nEnvironment=\"WHERE=/a b\" \"OPTIONS=--all --frames\"\n\
        ExecStart=/usr/bin/it run $OPTIONS -o ${WHERE}\nUser=me\nGroup=us\nNoNewPrivileges=yes\n\
        # A remark.\nAmbientCapabilities=CAP_SYS_ADMIN CAP_KILL\n\
        CapabilityBoundingSet=CAP_SYS_ADMIN CAP_KILL\n[Install]\nUser=other\n";

    #[test]
    fn a_variable_in_braces_is_one_word_and_another_is_several() {
        let service = Service::parse(UNIT);
        let words = service.command("").unwrap();
        assert_eq!(
            words,
            ["/usr/bin/it", "run", "--all", "--frames", "-o", "/a b"]
        );
        let words = service
            .command("#WHERE=/c\nOPTIONS=\"--count 2\"\n")
            .unwrap();
        assert_eq!(words, ["/usr/bin/it", "run", "--count", "2", "-o", "/a b"]);
        assert!(Service::parse("[Service]\n").command("").is_err());
    }

    #[test]
    fn a_process_has_the_services_user_and_capabilities_and_no_others() {
        let options = Service::parse(UNIT).setpriv(&["CAP_KILL"]).unwrap();
        assert!(options.contains(&"--reuid=me".to_owned()), "{options:?}");
        assert!(options.contains(&"--bounding-set=-all,+sys_admin".to_owned()));
        assert!(options.contains(&"--ambient-caps=-all,+sys_admin".to_owned()));
        let options = Service::parse(&UNIT.replace("CAP_SYS_ADMIN CAP_KILL", "")).setpriv(&[]);
        assert!(options.unwrap().contains(&"--bounding-set=-all".to_owned()));
        let may_gain = UNIT.replace("NoNewPrivileges=yes", "");
        assert!(Service::parse(&may_gain).setpriv(&[]).is_err());
    }
}
